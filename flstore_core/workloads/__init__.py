"""Workloads: one file each, named after what it answers, with its published source.

Here: the protocol (`base`), the registry over entry points (`registry`) and the methods themselves. A workload knows
records, statistics and slices; it knows nothing of HTTP, caches or stores.
"""
