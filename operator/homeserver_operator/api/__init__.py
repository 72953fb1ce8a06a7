"""The words that every other module shares: names, kinds, the parsed resource, what is observed.

Data only: no decisions, no I/O.
"""
