"""The cache engine: byte-exact accounting that drives a policy, the cache of values, and shadow caches.

Works the same in the simulator, in a live shard and in a shadow. Fetching, serving and storing belong elsewhere.
"""

from flstore_core.cache.cache import Cache, Lookup
from flstore_core.cache.ledger import Access, Ledger, Outcome
from flstore_core.cache.rivals import Rivals

__all__ = ["Access", "Cache", "Ledger", "Lookup", "Outcome", "Rivals"]
