"""Locks in the homeserver's own PostgreSQL that a process holds while it runs Synapse.

They keep processes of different shard maps, and two processes of one name, from ever running at the
same time. The protocol and its invariants are in docs/fences.md; a model of it is in the tests.
Knows PostgreSQL and nothing of Synapse.
"""
