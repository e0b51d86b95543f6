"""Caching policies: pure decisions about keys and sizes under a byte budget.

One algorithm, one file, all behind the `Policy` protocol. A policy holds no bytes, reads no clock but the one it is
given and never blocks. What counts bytes and drives it is `flstore_core.cache.Ledger`.
"""

from flstore_core.policies.base import Key, Policy, PolicyDefect, Prefetch, Request, Victims, Why
from flstore_core.policies.registry import make_policy, policy_names

__all__ = ["Key", "Policy", "PolicyDefect", "Prefetch", "Request", "Victims", "Why", "make_policy", "policy_names"]
