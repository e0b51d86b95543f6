"""Settings of a gateway, read from an environment that is handed in."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flstore_core.errors import InvalidParameters
from flstore_core.units import format_size
from services.common.prefix import checked_prefix
from services.common.settings import Variables, read, seconds, size, some_seconds, whole
from services.gateway.auth import Tokens

S3_MOST = 5 * 2**30
"""Bytes of the largest object that S3 takes at once."""


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
    """Largest body of one update, in bytes; not over `in_flight_bytes`."""
    in_flight_bytes: int = 4 * 2**30
    """Bytes of uploads held at once; a further upload gets status 429 before its body is read."""
    upload_patience_seconds: float = 60.0
    """Seconds by which an upload may fall behind a rate of 64 KiB a second; a slower one gets status 408."""
    records_bytes: int = 256 * 2**20
    """Budget of the cache of rounds' records and statistics, in bytes."""
    models_bytes: int = 256 * 2**20
    """Budget of the newest aggregates, in bytes, which clients are sent from memory; 0 keeps none."""
    refresh_seconds: float = 2.0
    """Greatest age of a job's list of rounds, in seconds; other gateways commit rounds too."""
    shard_timeout_seconds: float = 60.0
    """Longest call of a shard or predictor in seconds, its cold start included."""
    console_url: str = ""
    """Where browsers find the console: its address, a path of this host such as `/console`, or a port of this host such
    as `:8090`. Without one they are led to the API's description."""
    root_path: str = ""
    """Path below which a reverse proxy has the gateway, such as `/flstore`, if it does not send X-Forwarded-Prefix."""
    threads: int = 40
    """Requests worked on at once."""
    connection_requests: int = 2000
    """Requests after which a client's connection ends, so that it comes to another gateway; 0 for no such end. Chance
    takes up to a half of it. With one gateway, a new connection costs as much as a small request."""
    connection_seconds: float = 20.0
    """Age in seconds after which a client's connection ends with its next answer, likewise."""
    question_bytes: int = 512 * 2**20
    """Memory that one question may take in the gateway, as estimated before it runs; more gets status 422."""
    question_operations: int = 2 * 10**11
    """Floating-point operations that one question may take, likewise: about a minute of one core."""

    def __post_init__(self) -> None:
        if self.upload_limit > self.in_flight_bytes:
            raise InvalidParameters(
                f"FLSTORE_UPLOAD_LIMIT is {format_size(self.upload_limit)} and FLSTORE_IN_FLIGHT_BYTES "
                f"{format_size(self.in_flight_bytes)}: an update that large would never find room; raise the second "
                "or lower the first"
            )
        Tokens(self.tokens, self.metrics_token)

    def warnings(self, memory: int | None) -> Iterator[str]:
        """Yield what is accepted and may not do what was meant, in a process of so much memory; None is no limit."""
        if self.metrics_token and self.tokens is None:
            yield "FLSTORE_METRICS_TOKEN has no effect without FLSTORE_TOKENS: everybody may read the metrics"
        if self.store.startswith("s3://") and self.upload_limit > S3_MOST:
            yield (
                f"FLSTORE_UPLOAD_LIMIT is {format_size(self.upload_limit)}, and an S3 store takes objects of up to "
                f"{format_size(S3_MOST)}; larger updates are refused all the same"
            )
        if memory is not None and self.in_flight_bytes + self.records_bytes + self.models_bytes > memory:
            yield (
                f"FLSTORE_IN_FLIGHT_BYTES is {format_size(self.in_flight_bytes)}, FLSTORE_RECORDS_BYTES "
                f"{format_size(self.records_bytes)} and FLSTORE_MODELS_BYTES {format_size(self.models_bytes)}, over "
                f"the {format_size(memory)} of memory that this process' control group allows; many large uploads at "
                "once may end it"
            )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Settings":
        """Return the settings of an environment; raise `InvalidParameters` naming a variable that does not fit."""
        variables: Variables = {
            "FLSTORE_STORE": ("store", str),
            "FLSTORE_PLACEMENT_URL": ("placement_url", _address),
            "FLSTORE_TOKENS": ("tokens", str),
            "FLSTORE_METRICS_TOKEN": ("metrics_token", str),
            "FLSTORE_UPLOAD_LIMIT": ("upload_limit", size()),
            "FLSTORE_IN_FLIGHT_BYTES": ("in_flight_bytes", size()),
            "FLSTORE_UPLOAD_PATIENCE_SECONDS": ("upload_patience_seconds", some_seconds),
            "FLSTORE_RECORDS_BYTES": ("records_bytes", size()),
            "FLSTORE_MODELS_BYTES": ("models_bytes", size(0)),
            "FLSTORE_REFRESH_SECONDS": ("refresh_seconds", seconds),
            "FLSTORE_SHARD_TIMEOUT_SECONDS": ("shard_timeout_seconds", some_seconds),
            "FLSTORE_CONSOLE_URL": ("console_url", _console),
            "FLSTORE_ROOT_PATH": ("root_path", checked_prefix),
            "FLSTORE_THREADS": ("threads", whole(1, 1000)),
            "FLSTORE_CONNECTION_REQUESTS": ("connection_requests", whole(0)),
            "FLSTORE_CONNECTION_SECONDS": ("connection_seconds", seconds),
            "FLSTORE_QUESTION_BYTES": ("question_bytes", size()),
            "FLSTORE_QUESTION_OPERATIONS": ("question_operations", whole(1)),
        }
        values = read(env, variables)
        if "FLSTORE_TOKENS" in env and "tokens" not in values:
            raise InvalidParameters("FLSTORE_TOKENS is set and empty; unset it to let everybody in")
        return cls(**_fitting(values))


def _fitting(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the values, with the default of each upload limit where only the other one is set moved to fit it."""
    match values:
        case {"upload_limit": _, "in_flight_bytes": _}:
            return values
        case {"upload_limit": limit}:
            return {**values, "in_flight_bytes": max(limit, DEFAULTS.in_flight_bytes)}
        case {"in_flight_bytes": limit}:
            return {**values, "upload_limit": min(limit, DEFAULTS.upload_limit)}
    return values


DEFAULTS = Settings()


def _console(text: str) -> str:
    """Return where the console is, without a closing slash."""
    if not re.fullmatch(r"(https?://[^/\s]+)?(/[^/\s]\S*|/)?|:[0-9]{1,5}", text) or text.startswith("//"):
        raise InvalidParameters(f"{text!r} is no address; use one such as http://127.0.0.1:8090, /console or :8090")
    return text.rstrip("/")


def _address(url: str) -> str:
    """Return an HTTP address without a closing slash."""
    if not re.fullmatch(r"https?://[^/\s]+(/\S*)?", url):
        raise InvalidParameters(f"{url!r} is no address; use one such as http://127.0.0.1:8081")
    return url.rstrip("/")
