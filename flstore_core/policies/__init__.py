"""Caching policies: pure decisions about keys and sizes under a byte budget.

One algorithm, one file, all behind the `Policy` protocol of `base`. A policy holds no bytes, reads no clock but the one
it is handed, and never blocks. Counting bytes and driving a policy belong in `flstore_core.cache`; replaying traces
belongs in `flstore_core.simulator`.

To add a policy (CONTRIBUTING.md has the details):

1. Write `classic/mru.py`: a subclass of `classic.base.Classic` with its three names and its three or four methods.
2. Add it to `RIVALS` in `registry.py`: `"mru": lambda inputs, on_arrival: MRU(on_arrival)`.
3. Run `pytest tests/policies`: the contract suite covers every name in the registry. Test the algorithm beside it.
4. Try it: `flstore simulate T.jsonl --policy mru,lru`. Shards accept `FLSTORE_POLICY=mru` from now on.
5. Run `make generate`, which adds the name to the Helm chart's schema, and `make study`, which adds it to the tables.
6. Add a line to CHANGELOG.md.
"""

from flstore_core.policies.base import Cause, Key, Policy, PolicyDefect, Prefetch, Request, Victims
from flstore_core.policies.registry import make_policy, policy_names

__all__ = ["Cause", "Key", "Policy", "PolicyDefect", "Prefetch", "Request", "Victims", "make_policy", "policy_names"]
