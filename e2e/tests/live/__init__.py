"""The whole topology on the real cluster.

A package, and not merely a folder, so that the homeservers of its `live` fixture end with it.
"""
