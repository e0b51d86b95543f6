"""Values of Python, NumPy and torch as plain JSON: what cannot be JSON is named by where it stands."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flstore_core.errors import InvalidParameters


def to_json(value: Any, what: str) -> str:
    """Return `value` as JSON.

    Mappings become objects, arrays and tuples lists, NumPy's and torch's scalars numbers. Whole numbers as keys become
    text, as in JavaScript.

    Args:
        what: what `value` is, such as `metrics`; a message says `metrics['loss'] is nan`.

    Raises:
        InvalidParameters: naming what is no JSON value.
    """
    try:
        return json.dumps(_plain(value, what), allow_nan=False)
    except RecursionError as error:
        raise InvalidParameters(f"{what} contains itself, or is nested too deeply; pass a JSON value") from error
    except ValueError as error:  # a whole number of thousands of digits
        raise InvalidParameters(f"{what} cannot be written as JSON: {error}") from error


def _plain(value: Any, at: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidParameters(f"{at} is {value}; only finite numbers can be sent as JSON, so leave it out")
        return float(value)
    if isinstance(value, Mapping):
        return _object(value, at)
    if isinstance(value, list | tuple):
        return [_plain(each, f"{at}[{index}]") for index, each in enumerate(value)]
    return _plain(_listed(value, at), at)


def _object(value: Mapping[Any, Any], at: str) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, name in _names(value, at):
        if name in plain:
            raise InvalidParameters(f"{at} has the key {name!r} twice, as text and as a number")
        plain[name] = _plain(value[key], f"{at}[{key!r}]")
    return plain


def _names(value: Mapping[Any, Any], at: str) -> Iterator[tuple[Any, str]]:
    for key in value:
        if isinstance(key, str):
            yield key, key
        elif hasattr(key, "__index__") and not isinstance(key, bool):
            yield key, _digits(key, at)
        else:
            raise InvalidParameters(f"{at} has the key {key!r:.40} ({type(key).__name__}); use text as keys")


def _digits(key: Any, at: str) -> str:
    try:
        return str(int(key))
    except ValueError as error:
        raise InvalidParameters(f"{at} has a key of thousands of digits; use text as keys") from error


def _listed(value: Any, at: str) -> Any:
    """Return an array or scalar of a library as lists and numbers of Python."""
    convert: Callable[[], Any] | None = getattr(value, "tolist", None)
    try:
        listed = convert() if convert else value
    except Exception as error:  # of any library
        raise InvalidParameters(f"{at} is a {type(value).__name__} without values: {error}") from error
    if listed is value or type(listed) is type(value):
        raise InvalidParameters(
            f"{at} is {value!r:.40} ({type(value).__name__}), no JSON value; pass numbers, text, lists or objects"
        )
    return listed
