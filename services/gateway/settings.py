"""Settings of a gateway, read from an environment that is handed in."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flstore_core.units import parse_size


@dataclass(frozen=True, slots=True)
class Settings:
    """What a gateway needs to know."""

    store: str
    """URL or directory of the object store."""
    placement_url: str
    """Where the placement controller answers."""
    tokens: str = field(default="", repr=False)
    """JSON list of bearer tokens, see `services.gateway.auth`; empty lets everybody in, for loopback only."""
    upload_limit: int = 4 * 2**30
    """Largest body of one update, in bytes."""
    in_flight_bytes: int = 2 * 2**30
    """Bytes of uploads held at once; further ones are answered 429 before their body is read."""
    upload_patience_seconds: float = 60.0
    """How far an upload may be behind 64 KiB a second; after that it is answered 408."""
    records_bytes: int = 256 * 2**20
    """Budget of the cache of rounds' records and statistics, in bytes."""
    refresh_seconds: float = 2.0
    """How old the list of rounds may be when other gateways commit too."""
    shard_timeout_seconds: float = 60.0
    """How long one call of a shard may take, its cold start included."""
    threads: int = 40
    """Requests worked on at once."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        return cls(
            store=env.get("FLSTORE_STORE", ".flstore/store"),
            placement_url=env.get("FLSTORE_PLACEMENT_URL", "http://127.0.0.1:8081").rstrip("/"),
            tokens=env.get("FLSTORE_TOKENS", ""),
            upload_limit=parse_size(env.get("FLSTORE_UPLOAD_LIMIT", "4GiB")),
            in_flight_bytes=parse_size(env.get("FLSTORE_IN_FLIGHT_BYTES", "2GiB")),
            upload_patience_seconds=float(env.get("FLSTORE_UPLOAD_PATIENCE_SECONDS", "60")),
            records_bytes=parse_size(env.get("FLSTORE_RECORDS_BYTES", "256MiB")),
            refresh_seconds=float(env.get("FLSTORE_REFRESH_SECONDS", "2")),
            shard_timeout_seconds=float(env.get("FLSTORE_SHARD_TIMEOUT_SECONDS", "60")),
            threads=int(env.get("FLSTORE_THREADS", "40")),
        )
