"""The benchmarks: `python -m e2e.bench`. Prints a table, leaves nothing behind.

Measures the product as it is installed, from outside; every number comes with unit and load.
"""
