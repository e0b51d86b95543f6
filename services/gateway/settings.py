"""Settings of a gateway, read from an environment that is handed in."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flstore_core.errors import InvalidParameters
from flstore_core.units import parse_size
from services.common.settings import Variables, read


@dataclass(frozen=True, slots=True)
class Settings:
    """What a gateway needs to know."""

    store: str = ".flstore/store"
    """URL or directory of the object store."""
    placement_url: str = "http://127.0.0.1:8081"
    """Address of the placement controller, without a closing slash."""
    tokens: str | None = field(default=None, repr=False)
    """JSON list of bearer tokens, see `services.gateway.auth`; None lets everybody in, for loopback only."""
    metrics_token: str = field(default="", repr=False)
    """Token that reads the metrics and nothing else, for Prometheus; needed only where there are `tokens`."""
    upload_limit: int = 4 * 2**30
    """Largest body of one update, in bytes."""
    in_flight_bytes: int = 2 * 2**30
    """Bytes of uploads held at once; a further upload gets status 429 before its body is read."""
    upload_patience_seconds: float = 60.0
    """Seconds by which an upload may fall behind a rate of 64 KiB a second; a slower one gets status 408."""
    records_bytes: int = 256 * 2**20
    """Budget of the cache of rounds' records and statistics, in bytes."""
    refresh_seconds: float = 2.0
    """Greatest age of a job's list of rounds, in seconds; other gateways commit rounds too."""
    shard_timeout_seconds: float = 60.0
    """Longest call of a shard or predictor in seconds, its cold start included."""
    threads: int = 40
    """Requests worked on at once."""
    question_bytes: int = 512 * 2**20
    """Memory that one question may take in the gateway, as estimated before it runs; more gets status 422."""
    question_operations: int = 2 * 10**11
    """Floating-point operations that one question may take, likewise: about a minute of one core."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Return the settings of an environment; raise `InvalidParameters` naming a variable that does not fit."""
        variables: Variables = {
            "FLSTORE_STORE": ("store", str),
            "FLSTORE_PLACEMENT_URL": ("placement_url", _without_slash),
            "FLSTORE_TOKENS": ("tokens", str),
            "FLSTORE_METRICS_TOKEN": ("metrics_token", str),
            "FLSTORE_UPLOAD_LIMIT": ("upload_limit", parse_size),
            "FLSTORE_IN_FLIGHT_BYTES": ("in_flight_bytes", parse_size),
            "FLSTORE_UPLOAD_PATIENCE_SECONDS": ("upload_patience_seconds", float),
            "FLSTORE_RECORDS_BYTES": ("records_bytes", parse_size),
            "FLSTORE_REFRESH_SECONDS": ("refresh_seconds", float),
            "FLSTORE_SHARD_TIMEOUT_SECONDS": ("shard_timeout_seconds", float),
            "FLSTORE_THREADS": ("threads", int),
            "FLSTORE_QUESTION_BYTES": ("question_bytes", parse_size),
            "FLSTORE_QUESTION_OPERATIONS": ("question_operations", int),
        }
        settings = cls(**read(env, variables))
        if "FLSTORE_TOKENS" in env and settings.tokens is None:
            raise InvalidParameters("FLSTORE_TOKENS is set and empty; unset it to let everybody in")
        return settings


def _without_slash(url: str) -> str:
    return url.rstrip("/")
