"""Settings of a baseline, read from a given environment; a setting that FLStore has too has its name."""

from collections.abc import Mapping
from dataclasses import dataclass

from flstore_core.storage.network import LOOPBACK, Profile, profile
from flstore_core.units import parse_size


@dataclass(frozen=True)
class Settings:
    """Store, cache and threads of a baseline."""

    store: str = ".flstore/baseline"
    """FLSTORE_STORE: URL or directory of the object store."""
    cache_bytes: int = 1 << 30
    """FLSTORE_CACHE_BYTES: memory of the cache; for a fair comparison, as much as all shards together."""
    cache_link: Profile = LOOPBACK
    """FLSTORE_CACHE_NETWORK_PROFILE: simulated network link in front of the cache."""
    redis: str = ""
    """FLSTORE_REDIS: host:port of a running Redis; if empty, one is started."""
    threads: int = 16
    """FLSTORE_THREADS: requests handled at once."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        return cls(
            store=env.get("FLSTORE_STORE") or cls.store,
            cache_bytes=parse_size(env.get("FLSTORE_CACHE_BYTES") or "1GiB"),
            cache_link=profile(env.get("FLSTORE_CACHE_NETWORK_PROFILE") or "loopback"),
            redis=env.get("FLSTORE_REDIS", ""),
            threads=int(env.get("FLSTORE_THREADS") or 16),
        )
