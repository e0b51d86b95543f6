"""Settings from an environment: only what is set is read, so each default stands in one place, the dataclass.

Example: where the environment has `FLSTORE_THREADS=8` alone,

    read(env, {"FLSTORE_THREADS": ("threads", int), "FLSTORE_REFRESH_SECONDS": ("refresh_seconds", float)})

returns `{"threads": 8}`, the keyword arguments of `Settings(**…)`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flstore_core.errors import InvalidParameters

Parser = Callable[[str], Any]
"""Makes a setting's value of a variable's text; raises `ValueError` or `InvalidParameters` where it cannot."""
Variables = Mapping[str, tuple[str, Parser]]
"""By environment variable: the name of its setting, and what parses its text."""


def read(env: Mapping[str, str], variables: Variables) -> dict[str, Any]:
    """Return the values of the variables that are set to some text, by the names of their settings.

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
