"""What runs inside a homeserver's pods: a launcher around the real Synapse.

Knows the files that the operator mounts (contract), Synapse's public start-up functions, PostgreSQL
and Redis. Never imports the operator and never talks to Kubernetes.
"""
