"""The benchmarks: `python -m e2e.bench`. Prints a table, leaves nothing behind.

Measures the product as it is installed, from outside, and the core by itself; every number comes
with unit and load.
"""
