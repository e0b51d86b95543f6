"""One row of the table of settings: what a variable is set to, and what is to be seen of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Env = Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """The test sets the variable to `text`, and compares what is observed with and without it."""

    text: str
    observe: Callable[[Env], object]
    """Starts as much of the system as it takes in an environment, and returns what is seen of the setting."""
    expected: object
    beside: Env = field(default_factory=dict)
    """What else is set in both cases; the variable itself, where it is required."""
