"""Names that come from outside, checked once where they enter."""

import re
from typing import NewType

from flstore_core.errors import InvalidId
from flstore_core.units import parse_natural

JobId = NewType("JobId", str)
ClientId = NewType("ClientId", str)
ShardId = NewType("ShardId", str)
Home = NewType("Home", str)
"""The folder in the store that holds everything of one generation of a job. `flstore_core.layout.home` makes it."""

AGGREGATE = ClientId("aggregate")
"""The member name under which a round's aggregate is cached and counted."""

METADATA = ClientId("metadata")
"""The member name under which a round's record is cached and counted, and in traces its statistics with it."""

STATISTICS = ClientId("metadata/statistics")
"""The member name under which a gateway caches a round's statistics. It is no valid client's name."""

NUMBERS = ClientId("metadata/numbers")
"""The member name under which a gateway caches a round's numbers (`flstore_core.overviews`)."""

RESERVED = frozenset({AGGREGATE, METADATA})
MAX_ROUND = 10**8 - 1

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
_NAME = re.compile(NAME_PATTERN)
_RULE = "1 to 128 of A-Z a-z 0-9 . _ -, beginning with a letter or digit"
_LONGEST = 128

ENCODED = "x--"
"""Begins the usable form of a name that is not usable as it is."""

_ESCAPE = re.compile(rb"_([0-9a-f]{2})")
_QUOTED = re.compile(r"(?<=')x--[A-Za-z0-9._-]+(?=')")
_KEPT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-")


def encode(text: str, kind: str = "client") -> str:
    """Return the name of a client or job in the form in which the store keeps it; `decode` takes it back.

    A usable name stays as it is. In any other, each byte of its UTF-8 but letters, digits, dots and hyphens becomes `_`
    and two hexadecimal digits: `Hospital A` is kept as `x--Hospital_20A`, `a@b.org` as `x--a_40b.org`.

    Args:
        kind: what is named, for messages.
    """
    if not text or text in RESERVED or _NAME.fullmatch(text):
        return text
    try:
        name = ENCODED + "".join(chr(byte) if byte in _KEPT else f"_{byte:02x}" for byte in text.encode())
    except UnicodeEncodeError as error:
        raise InvalidId(
            "half of a surrogate pair (\\ud800 to \\udfff) is not text; leave it out of the name"
        ) from error
    if len(name) > _LONGEST:
        raise InvalidId(
            f"{kind} name {_shown(text)!r} is not usable: it is kept in {len(name)} characters; use {_RULE}"
        )
    return name


def decode(name: str) -> str:
    """Return the name that `encode` was given; a name that it would not have made is returned as it is."""
    if not name.startswith(ENCODED):
        return name
    try:
        text = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), name[len(ENCODED) :].encode()).decode()
        return text if encode(text) == name else name
    except (UnicodeError, InvalidId):
        return name


def readable(message: str) -> str:
    """Return a message in which names within quotes are those that were given: 'Hospital A' for 'x--Hospital_20A'."""
    if ENCODED not in message:
        return message
    return _QUOTED.sub(lambda found: decode(found[0]), message)


def job_id(text: str) -> JobId:
    """Return `text` as a job's name; raise `InvalidId` unless it is 1–128 safe characters."""
    _require_encoded("job", text)
    return JobId(_name("job", text))


def client_id(text: str) -> ClientId:
    """Return `text` as a client's name; raise `InvalidId` for unsafe or reserved ones."""
    if text in RESERVED:
        raise InvalidId(f"client {text!r} is a reserved name; choose another than {sorted(RESERVED)}")
    _require_encoded("client", text)
    return ClientId(_name("client", text))


def shard_id(text: str) -> ShardId:
    """Return `text` as the name of a shard or predictor; raise `InvalidId` unless it is 1–128 safe characters."""
    return ShardId(_name("shard", text))


def object_name(kind: str, text: str) -> str:
    """Return `text` as the name of a dataset, artifact or operation; `kind` goes into the message."""
    return _name(kind, text)


def round_number(value: int) -> int:
    """Return `value` if it can be a round's number, 0 to 99 999 999."""
    if not 0 <= value <= MAX_ROUND:
        raise InvalidId(f"round {value} is out of range; use 0 to {MAX_ROUND}")
    return value


def parse_round(text: str) -> int:
    """Return the round's number that `text` writes in digits; raise `InvalidId` for any other text."""
    number = parse_natural(text, MAX_ROUND)
    if number is None:
        raise InvalidId(f"round {_shown(text)!r} is no number from 0 to {MAX_ROUND}")
    return number


def _require_encoded(kind: str, text: str) -> None:
    if (name := encode(text, kind)) != text:
        raise InvalidId(
            f"{kind} name {_shown(text)!r} is not usable; use {_RULE}. The client and `flstore` write it as {name}"
        )


def _name(kind: str, text: str) -> str:
    if not _NAME.fullmatch(text):
        raise InvalidId(f"{kind} name {_shown(text)!r} is not usable; use {_RULE}")
    return text


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"
