"""Reads settings from an environment. Only variables that are set are read: defaults stand in the dataclass alone.

Example: if the environment has `FLSTORE_THREADS=8` and nothing else,

    read(env, {"FLSTORE_THREADS": ("threads", int), "FLSTORE_REFRESH_SECONDS": ("refresh_seconds", float)})

returns `{"threads": 8}`, the keyword arguments of `Settings(**…)`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flstore_core.errors import InvalidParameters

Parser = Callable[[str], Any]
"""Turns a variable's text into a setting's value; raises `ValueError` or `InvalidParameters` if the text is not one."""
Variables = Mapping[str, tuple[str, Parser]]
"""For each environment variable, the name of its setting and the parser of its text."""


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


def _parse(variable: str, text: str, parser: Parser) -> Any:
    try:
        return parser(text)
    except InvalidParameters as error:
        raise InvalidParameters(f"{variable}: {error.detail}") from error
    except ValueError as error:
        kind = "a whole number" if parser is int else "a number"
        raise InvalidParameters(f"{variable} is {text!r}; use {kind}") from error
