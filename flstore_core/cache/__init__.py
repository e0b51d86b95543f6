"""The cache engine: byte-exact accounting that drives a policy, the cache of values, and shadow caches.

It works the same in the simulator, in a live shard and in a shadow. What to cache is decided in
`flstore_core.policies`; fetching what is missing belongs in `flstore_core.shard` and `flstore_core.models`.
"""

from flstore_core.cache.cache import Cache, Lookup
from flstore_core.cache.ledger import Access, Ledger, Outcome
from flstore_core.cache.shadow import Shadows

__all__ = ["Access", "Cache", "Ledger", "Lookup", "Outcome", "Shadows"]
