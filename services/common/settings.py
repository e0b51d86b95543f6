"""Reads settings from an environment. Only variables that are set are read: defaults stand in the dataclass alone.

Example: if the environment has `FLSTORE_THREADS=8` and nothing else,

    read(env, {"FLSTORE_THREADS": ("threads", int), "FLSTORE_REFRESH_SECONDS": ("refresh_seconds", float)})

returns `{"threads": 8}`, the keyword arguments of `Settings(**…)`.
"""

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

from flstore_core.errors import FLStoreError, InvalidParameters
from flstore_core.units import parse_size

Parser = Callable[[str], Any]
"""Turns a variable's text into a setting's value; raises `ValueError` or `FLStoreError` if the text is not one."""
Variables = Mapping[str, tuple[str, Parser]]
"""For each environment variable, the name of its setting and the parser of its text."""
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def read(env: Mapping[str, str], variables: Variables) -> dict[str, Any]:
    """Return the values of the variables that are set and not empty, by the names of their settings.

    Raises:
        InvalidParameters: naming the variable, if its text is not acceptable.
    """
    return {
        name: _parse(variable, text, parser)
        for variable, (name, parser) in variables.items()
        if (text := env.get(variable, ""))
    }


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a parser of whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise InvalidParameters(f"{text!r} is not usable; use a whole number") from None
        if number < least or (most is not None and number > most):
            raise InvalidParameters(f"{number} is not usable; use {_range(least, most)}")
        return number

    return parse


def size(least: int = 1) -> Callable[[str], int]:
    """Return a parser of sizes of `least` bytes or more."""

    def parse(text: str) -> int:
        nbytes = parse_size(text)
        if nbytes < least:
            raise InvalidParameters(f"{text!r} is not usable; use {least} or more bytes")
        return nbytes

    return parse


def seconds(text: str) -> float:
    """Return a time that is not negative."""
    number = _number(text)
    if not 0 <= number < math.inf:
        raise InvalidParameters(f"{text!r} is not usable; use a number that is not negative")
    return number


def some_seconds(text: str) -> float:
    """Return a time that is more than nothing."""
    number = _number(text)
    if not 0 < number < math.inf:
        raise InvalidParameters(f"{text!r} is not usable; use a number above 0")
    return number


def boolean(text: str) -> bool:
    """Return what `true` or `false` says."""
    return one_of(("true", "false"))(text.lower()) == "true"


def one_of(names: Collection[str]) -> Callable[[str], str]:
    """Return a parser that takes one of a few names alone."""

    def parse(text: str) -> str:
        if text not in names:
            raise InvalidParameters(f"{text!r} is not usable; use one of {', '.join(names)}")
        return text

    return parse


def log_level(text: str) -> str:
    """Return the name of a level of `logging`, in capitals."""
    return one_of(LOG_LEVELS)(text.upper())


def _range(least: int, most: int | None) -> str:
    return f"{least} or more" if most is None else f"{least} to {most}"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _parse(variable: str, text: str, parser: Parser) -> Any:
    try:
        return parser(text)
    except FLStoreError as error:
        raise InvalidParameters(f"{variable}: {error.detail}") from error
    except ValueError as error:
        kind = "a whole number" if parser is int else "a number"
        raise InvalidParameters(f"{variable} is {text!r}; use {kind}") from error
