"""Tickets: what a gateway hands out so that a client of a training may do one thing itself, for a while.

A server of a federated training that passes references around has its clients upload to FLStore directly. They should
not hold its token, which reaches everybody's updates. A ticket allows one of two things (`Verb`), to one client, in one
round of one job, until a moment::

    flt1.eyJqb2IiOiJhIiwicm91bmQiOjMs….9f86d081884c7d65…
    │    │                             └ HMAC-SHA256 of the middle
    │    └ the ticket's fields, JSON in base64url
    └ version of this format

The key of the code is derived from the key that the services of a deployment share, so every gateway accepts what any
has issued, and no ticket is kept anywhere. A ticket names the generation of its job: it ends when the job is deleted,
and is worth nothing to a later job of the same name. Changing the services' key ends all tickets.

Whoever overhears a ticket can do the one thing until it ends. A second upload of the client is then refused, as any is,
unless the ticket was issued with `replace`.
"""

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

from flstore_core.errors import Forbidden, InvalidParameters, Unauthorized
from flstore_core.ids import ClientId, JobId
from flstore_core.records import Job
from services.common.proof import Keys

LONGEST_S: Final = 24 * 3600
"""Most seconds for which a ticket is good."""

_PREFIX: Final = "flt1."
_PURPOSE: Final = b"flstore ticket 1"
"""Keeps the codes of tickets apart from all others that are made with the same key."""


class Verb(StrEnum):
    """What a ticket allows."""

    UPDATE = "update"
    """To store the client's own update of the round."""

    AGGREGATE = "aggregate"
    """To read the round's aggregate."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What somebody may do, and until when."""

    job: JobId
    generation: str
    """Of the job; with `created_at`, tells it from an earlier or later one of the same name."""
    created_at: float
    round: int
    client: ClientId
    verb: Verb
    until: int
    """Seconds since the epoch."""
    replace: bool = False
    """Whether the update may take the place of another one of the client."""

    def require(self, job: Job, *, replace: bool = False) -> None:
        """Raise `Unauthorized` if the ticket is for an earlier job of that name, `Forbidden` if it does not replace."""
        if (self.generation, self.created_at) != (job.generation, job.created_at):
            raise Unauthorized(f"the ticket is for a job {job.id!r} that was deleted; ask for a new one")
        if replace and not self.replace:
            raise Forbidden("this ticket does not allow replacing an update")


class Tickets:
    """Issues tickets and checks them.

    Args:
        keys: of the deployment's services; the first one signs, all verify.
        now: seconds since the epoch.
    """

    def __init__(self, keys: Keys, now: Callable[[], float]) -> None:
        self._keys = [hmac.digest(secret, _PURPOSE, "sha256") for secret in keys.secrets]
        self._now = now

    def end_of(self, seconds: int) -> int:
        """Return when a ticket ends that is issued now and good for so long."""
        return int(self._now()) + seconds

    def issue(self, job: Job, number: int, client: ClientId, verb: Verb, until: int, *, replace: bool = False) -> str:
        """Return a ticket; raise `InvalidParameters` if this deployment has no key to sign it."""
        if not self._keys:
            raise InvalidParameters("tickets need a key; set FLSTORE_SERVICE_KEYS to one")
        ticket = Ticket(job.id, job.generation, job.created_at, number, client, verb, until, replace)
        middle = base64.urlsafe_b64encode(json.dumps(asdict(ticket), separators=(",", ":")).encode()).decode()
        return f"{_PREFIX}{middle}.{_code(self._keys[0], middle)}"

    def find(self, authorization: str) -> str | None:
        """Return the ticket in an `Authorization` header; None if the header has another kind of token, or none."""
        scheme, _, text = authorization.partition(" ")
        return text.strip() if scheme.lower() == "bearer" and text.strip().startswith(_PREFIX) else None

    def check(self, text: str, job: str, number: int | None, verb: Verb, client: str | None = None) -> Ticket:
        """Return a ticket that allows `verb` there; `Ticket.require` has to be called once the job is read.

        Args:
            client: the client whose update is stored; None where the path names none.

        Raises:
            Unauthorized: if no gateway of this deployment issued the ticket, or its time is over.
            Forbidden: if it is for something else.
        """
        ticket = self._parse(text)
        if ticket.until <= self._now():
            raise Unauthorized(f"the ticket ended {self._now() - ticket.until:.0f} s ago; ask for a new one")
        if (ticket.job, ticket.round, ticket.verb) != (job, number, verb) or client not in (None, ticket.client):
            raise Forbidden(
                f"this ticket is for the {ticket.verb} of client {ticket.client!r} in round {ticket.round} of job "
                f"{ticket.job!r}"
            )
        return ticket

    def _parse(self, text: str) -> Ticket:
        """Return a ticket whose code is right; the fields are read only then."""
        middle, _, code = text.removeprefix(_PREFIX).rpartition(".")
        if not any(hmac.compare_digest(_code(key, middle).encode(), code.encode()) for key in self._keys):
            raise Unauthorized("this deployment has not issued that ticket, or its keys have changed since")
        fields = json.loads(base64.urlsafe_b64decode(middle))
        return Ticket(**{**fields, "verb": Verb(fields["verb"])})


def _code(key: bytes, middle: str) -> str:
    return hmac.digest(key, middle.encode(), "sha256").hex()
