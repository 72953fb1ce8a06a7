"""The product in a cluster, as its users meet it: installed by Helm, spoken to by Matrix clients.

Shared by the demonstration, the tests and the benchmarks. Knows nothing of the operator's
inside: it sees what kubectl and a client see.
"""
