"""Which store a URL means, opened now or when it is first used."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from flstore_core.errors import InvalidParameters
from flstore_core.storage.base import ObjectStore
from flstore_core.storage.directory import DirectoryStore
from flstore_core.storage.network import behind, profile

_OWN = ("FLSTORE_", "AWS_")
"""Begin the names of the variables that say how a store is reached."""

_RULE = "use s3://bucket[/prefix], file:///folder, or a folder's path"


def open_store(url: str, env: Mapping[str, str]) -> ObjectStore:
    """Return the store that `url` names, without waiting for it to answer.

    `s3://bucket/prefix?endpoint=…&region=…&style=…` is completed from `env` as docs/settings.md says, its credentials
    included (`flstore_core.storage.s3.credentials`).
    `file:///path` and a plain path mean a directory, created when missing. FLSTORE_NETWORK_PROFILE names a link that
    the store is to be behind, for measurements (`flstore_core.storage.network`). Raises `InvalidParameters`.
    """
    return behind(profile(env.get("FLSTORE_NETWORK_PROFILE") or "loopback"), _open(url, env))


def open_later(url: str, env: Mapping[str, str]) -> ObjectStore:
    """Return a store that is opened as by `open_store`, once something is first asked of it.

    The S3 SDK takes longer to import than a shard may take to start.
    """
    return cast("ObjectStore", _Deferred(url, {name: env[name] for name in env if name.startswith(_OWN)}))


class _Deferred:
    """Can be pickled and copied: what travels is the URL, and the variables that complete it."""

    def __init__(self, url: str, env: Mapping[str, str]) -> None:
        self._how = url, env
        self._lock = Lock()
        self._store: ObjectStore | None = None

    def __reduce__(self) -> tuple[type["_Deferred"], tuple[str, Mapping[str, str]]]:
        return _Deferred, self._how

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python asks for by itself, such as to copy this
            raise AttributeError(name)
        with self._lock:
            if self._store is None:
                self._store = open_store(*self._how)
        return getattr(self._store, name)

    def close(self) -> None:
        """Close the store if it was ever opened."""
        if self._store is not None:
            self._store.close()


def _open(url: str, env: Mapping[str, str]) -> ObjectStore:
    scheme, separator, _ = url.partition("://")
    if not url or "\0" in url:
        raise InvalidParameters(f"store URL is empty or has a NUL; {_RULE}")
    if not separator:
        return DirectoryStore(Path(url).absolute())
    if scheme == "file":
        return DirectoryStore(_folder(url))
    if scheme == "s3":
        return _s3(url, env)
    raise InvalidParameters(f"store URL has the unknown scheme {scheme!r}; {_RULE}")


def _folder(url: str) -> Path:
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path:
        raise InvalidParameters(f"store URL {url!r} names no local folder; {_RULE}")
    return Path(unquote(parts.path))


def _s3(url: str, env: Mapping[str, str]) -> ObjectStore:
    from flstore_core.storage.s3 import RETRY, S3Store, read_location

    return S3Store(read_location(url, env), replace(RETRY, give_up_s=_give_up_s(env, RETRY.give_up_s)))


def _give_up_s(env: Mapping[str, str], default: float) -> float:
    text = env.get("FLSTORE_S3_GIVE_UP_S")
    if not text:
        return default
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        raise InvalidParameters(f"FLSTORE_S3_GIVE_UP_S is {text!r}; use a number of seconds such as 10")
    return float(text)
