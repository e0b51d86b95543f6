"""Benchmarks: ratios against a peer or a physical limit, both measured in the same run. Never part of the tests.

Each module yields the rows of one subject; `python -m tests.bench [NAME …]` runs all or the named modules, prints a
table and writes `build/bench.json`. What falls short of its target is reported so.
"""
