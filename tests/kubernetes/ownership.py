"""Server-side apply: who owns which field of an object. A subset of the real thing: lists are owned as a whole."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

Json = dict[str, Any]
Path = tuple[str, ...]
Owners = dict[str, set[Path]]
"""Manager → the fields it owns."""

IDENTITY = frozenset(
    {"name", "namespace", "uid", "resourceVersion", "managedFields", "creationTimestamp", "generation"}
)


class FieldConflict(Exception):
    """Somebody else owns a field and gave it another value."""

    def __init__(self, manager: str, path: Path) -> None:
        super().__init__(f'conflict with "{manager}": .{".".join(path)}')


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of what `value` says: an empty mapping counts, the parts of lists do not."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif path:
        yield path


def said(body: Json) -> Json:
    """Return the part of an applied body that can be owned."""
    metadata = {key: value for key, value in body.get("metadata", {}).items() if key not in IDENTITY}
    rest = {key: value for key, value in body.items() if key not in ("apiVersion", "kind", "metadata")}
    return {**rest, **({"metadata": metadata} if metadata else {})}


def apply(current: Json, owners: Owners, body: Json, manager: str, force: bool) -> Json:
    """Return `current` with what `body` says, and without what the manager said before and says no more."""
    result, desired = deepcopy(current), said(body)
    paths = set(leaves(desired))
    for path in paths:
        for other, theirs in owners.items():
            if other != manager and path in theirs and get(current, path) != get(desired, path):
                if not force:
                    raise FieldConflict(other, path)
                theirs.discard(path)
    for path in owners.get(manager, set()) - paths:
        if not any(path in theirs for other, theirs in owners.items() if other != manager):
            remove(result, path)
    for path in paths:
        put(result, path, deepcopy(get(desired, path)))
    owners[manager] = paths
    return result


def took(before: Json, after: Json, owners: Owners, manager: str) -> None:
    """Note that a manager changed an object by other means than applying: what it changed is its own now."""
    for path in set(leaves(said(after))):
        if get(before, path) != get(after, path):
            for theirs in owners.values():
                theirs.discard(path)
            owners.setdefault(manager, set()).add(path)


def get(value: Any, path: Path) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def put(value: Json, path: Path, leaf: Any) -> None:
    for key in path[:-1]:
        value = value.setdefault(key, {})
    value[path[-1]] = leaf


def remove(value: Json, path: Path) -> None:
    parents = [value]
    for key in path[:-1]:
        inner = parents[-1].get(key)
        if not isinstance(inner, dict):
            return
        parents.append(inner)
    parents[-1].pop(path[-1], None)
    for parent, key in reversed(list(zip(parents, path[:-1], strict=False))):
        if parent[key] == {}:
            del parent[key]


def merged(current: Any, patch: Any) -> Any:
    """Return the outcome of a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    result = dict(current) if isinstance(current, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
