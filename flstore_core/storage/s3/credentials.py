"""Credentials of an S3 server: found where other S3 clients find them, and fetched anew before they expire.

    1  FLSTORE_S3_ACCESS_KEY, FLSTORE_S3_SECRET_KEY (and FLSTORE_S3_SESSION_TOKEN)
    2  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN)
    3  a web identity, such as a Kubernetes service account's: AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN
    4  the profile that AWS_PROFILE names, in ~/.aws/credentials
    5  the container's role: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or …_FULL_URI
    6  the machine's role, from the instance's metadata service

The first of 1 and 2 that is set is taken at once. Otherwise the first of the others that has credentials is asked, when
the first request needs them. Source: AWS SDKs and Tools Reference Guide, "Standardized credential providers".
"""

import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeAlias

import urllib3

from flstore_core import forks
from flstore_core.errors import InvalidParameters, StoreUnavailable
from flstore_core.outbound import OwnPools, open_pools
from flstore_core.storage.s3.sdk import AWSConfigProvider, Credentials, IamAwsProvider, Provider, StaticProvider

METADATA_S = 2.0
"""Longest wait for the metadata service: outside a cloud nothing answers at its address."""

KEPT_S = 300.0
"""Seconds after which credentials that never expire are looked up again: somebody may have replaced them."""

_KEYS = (
    ("FLSTORE_S3_ACCESS_KEY", "FLSTORE_S3_SECRET_KEY", "FLSTORE_S3_SESSION_TOKEN"),
    ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
)
_CONTAINER = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")


class NoCredentials(StoreUnavailable):
    """No source has credentials, or the one that has them does not answer."""


FindSources: TypeAlias = Callable[[], Mapping[str, Provider]]


class Chain(Provider):
    """The first of several sources that has credentials. Safe to share between threads.

    A copy, or one that was pickled, finds its own sources and asks them anew.
    """

    def __init__(self, find_sources: FindSources, clock: Callable[[], float] = time.monotonic) -> None:
        self._find_sources = find_sources
        self._sources = find_sources()
        self._clock = clock
        self._found: Credentials | None = None
        self._found_at = 0.0
        self._lock = Lock()
        forks.keep(self)

    def __reduce__(self) -> tuple[type["Chain"], tuple[FindSources, Callable[[], float]]]:
        return Chain, (self._find_sources, self._clock)

    def begin_anew(self) -> None:
        """Forget a lock that no thread of this process may be able to release: it is a fork of the one that made it."""
        self._lock = Lock()

    def retrieve(self) -> Credentials:
        """Return credentials that are valid now; raise `NoCredentials` with what each source said."""
        with self._lock:  # Whoever comes while they are fetched waits, and fetches nothing.
            if self._found is None or self._found.is_expired() or self._clock() > self._found_at + KEPT_S:
                self._found, self._found_at = self._fetch(), self._clock()
            return self._found

    def _fetch(self) -> Credentials:
        trouble = []
        for name, source in self._sources.items():
            try:
                return source.retrieve()
            except Exception as error:  # Files, XML, JSON and HTTP of every source: the SDK translates none of it.
                trouble.append(f"{name}: {_describe(error)}")
        raise NoCredentials(
            f"no S3 credentials found ({'; '.join(trouble)}); set FLSTORE_S3_ACCESS_KEY and FLSTORE_S3_SECRET_KEY"
        )


def find_credentials(env: Mapping[str, str], region: str, trusted: str | None) -> Provider:
    """Return where the credentials come from. Nothing is asked yet.

    Raises:
        InvalidParameters: if only one half of a pair of keys is set.
    """
    for names in _KEYS:
        key, secret, token = (env.get(name) for name in names)
        if key and secret:
            return StaticProvider(key, secret, token or None)
        if key or secret:
            raise InvalidParameters(f"{names[bool(key)]} is not set; {names[not key]} is of no use without it")
    own = {name: value for name, value in env.items() if name.startswith("AWS_")}
    return Chain(partial(_sources, own, region, trusted))


def _sources(env: Mapping[str, str], region: str, trusted: str | None) -> dict[str, Provider]:
    sources: dict[str, Provider] = {}
    if token_file := env.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
        endpoint = env.get("AWS_ENDPOINT_URL_STS")
        pools = _pools(endpoint or "https://sts.amazonaws.com", trusted)
        sources["web identity"] = IamAwsProvider(
            custom_endpoint=endpoint,
            http_client=pools,
            token_file=token_file,
            role_arn=env.get("AWS_ROLE_ARN"),
            role_session_name=env.get("AWS_ROLE_SESSION_NAME"),
            region=region,
        )
    file = env.get("AWS_SHARED_CREDENTIALS_FILE") or str(Path("~/.aws/credentials").expanduser())
    sources["profile"] = AWSConfigProvider(file, env.get("AWS_PROFILE") or "default")
    if not token_file and (metadata := _metadata(env)):
        name, provider = metadata
        sources[name] = provider
    return sources


def _metadata(env: Mapping[str, str]) -> tuple[str, Provider] | None:
    """Return the service that gives a container or a machine its role's credentials."""
    direct = OwnPools(timeout=METADATA_S, retries=False)  # It is on this machine: through no proxy.
    relative, full = (env.get(name) for name in _CONTAINER)
    if relative or full:
        return "container", IamAwsProvider(http_client=direct, relative_uri=relative, full_uri=full)
    if env.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    return "instance metadata", IamAwsProvider(
        http_client=direct, custom_endpoint=env.get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
    )


def _pools(url: str, trusted: str | None) -> urllib3.PoolManager:
    return open_pools(url, trusted, timeout=METADATA_S * 5, retries=False)


def _describe(error: Exception) -> str:
    """Return the first line of an error, without the queries of URLs: they may carry a token."""
    line = str(error).partition("\n")[0] or type(error).__name__
    return re.sub(r"\?\S+", "?…", line)
