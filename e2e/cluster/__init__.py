"""A real Kubernetes on one machine, for tests and demonstrations; needs no container registry.

Only the standard library is imported here, so that the rig runs before any virtual environment
exists. What runs above a cluster must never depend on this package: see `e2e.cluster.api`.
"""
