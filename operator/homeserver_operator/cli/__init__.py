"""The kubectl plugin `kubectl homeserver`: what people ask of a homeserver beside its resource.

It stands on the same core as the operator and on its connection to the API server; it knows nothing
of the operator's queue, leadership or reconciling, and nothing of the operator knows it. It writes
nothing to the cluster but approvals, when it is asked to.
"""
