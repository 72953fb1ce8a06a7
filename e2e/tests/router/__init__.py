"""A homeserver with a router of its own, as clients see it while everything around it changes.

Its resource is in `homeserver.yaml`; `steps` is what is done to it.
"""
