"""The shard: a byte-bounded cache of slices with compute beside it, as one process that may scale to zero.

Only gateways and the placement controller speak to it. Every byte that it holds is in the object store too. It imports
no web framework heavier than Starlette, so that it answers within a second of its start. What it does with slices
belongs to `flstore_core.shard`; its process, its endpoints and its prefetches belong here.
"""
