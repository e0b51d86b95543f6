"""Small JSON objects in a store."""

import json
from typing import Any

from flstore_core.errors import FLStoreError
from flstore_core.storage.base import ObjectInfo, ObjectStore


class CorruptDocument(FLStoreError):
    """A stored record is not the JSON that was written."""

    code, title = "corrupt-document", "A stored record cannot be read"


def load_json(store: ObjectStore, key: str) -> Any:
    """Return the JSON value under `key`; raise `NotFound`, or `CorruptDocument` where it is not JSON."""
    return parse_json(key, store.get(key))


def load_json_with_etag(store: ObjectStore, key: str) -> tuple[Any, str]:
    """Return the JSON value under `key` and the etag to replace it by; errors as `load_json`."""
    body, info = store.get_with_info(key)
    return parse_json(key, body), info.etag


def save_json(
    store: ObjectStore, key: str, value: Any, *, if_none_match: bool = False, if_match: str | None = None
) -> ObjectInfo:
    """Write a JSON value of finite numbers; conditions and errors as `ObjectStore.put`."""
    body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    return store.put(key, body, if_none_match=if_none_match, if_match=if_match)


def parse_json(key: str, body: bytes) -> Any:
    """Return the JSON value that was read from `key`; raise `CorruptDocument` where it is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CorruptDocument(f"object {key!r} is not JSON") from error
