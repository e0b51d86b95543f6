"""Addresses of views. Each can be mailed: everything that a view shows is in its address, and nothing secret is.

Names stand in addresses in the form in which the store keeps them (`flstore_core.ids.encode`), which needs no quoting.
"""

from collections.abc import Mapping
from urllib.parse import urlencode

from flstore_core.errors import NotFound
from flstore_core.ids import MAX_ROUND, encode
from flstore_core.units import parse_natural

OVERVIEW = "/"
CACHES = "/caches"
COST = "/cost"
ASK = "/ask"
LOGIN = "/login"


def job(name: str) -> str:
    return f"/jobs/{encode(name, 'job')}"


def round_(name: str, number: int) -> str:
    return f"{job(name)}/rounds/{number}"


def client(name: str, client: str) -> str:
    return f"{job(name)}/clients/{encode(client)}"


def ask(**parameters: object) -> str:
    """Return the address of a question, such as `ask(job="mnist", workload="clustering", round=3)`."""
    return with_query(ASK, {name: str(value) for name, value in parameters.items()})


def round_number(text: str) -> int:
    """Return the round that an address names; raise `NotFound` if it is no round."""
    number = parse_natural(text, MAX_ROUND)
    if number is None:
        raise NotFound(f"{text!r:.40} is no round; use a whole number from 0")
    return number


def with_query(path: str, parameters: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(parameters)}" if parameters else path


def within(path: str) -> str:
    """Return an address of this console that came from outside, or the overview if it would lead elsewhere."""
    leads_elsewhere = not path.startswith("/") or path.startswith(("//", "/\\")) or not path.isprintable()
    return OVERVIEW if leads_elsewhere or "\\" in path else path
