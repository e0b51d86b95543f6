"""The server's side of a training by reference: it hands out references and tickets, and has the aggregate made.

It stands beside the recorder, which opens the job, stores what comes by value and closes rounds. A round:

    assign      a reference to the model and two tickets, for each client
    confirm     which clients' updates are stored as they said; the others, each with the reason
    aggregate   has the store make the new model of some clients' updates

Each call is repeated while the store is away, for as long as the training allows, and then raises `Unavailable`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from numpy.typing import NDArray

from flstore_core.errors import FLStoreError, InvalidParameters, NotFound, Unavailable
from flstore_core.integrations.recorder import Recorder
from flstore_core.integrations.recorder.desk import is_away
from flstore_core.integrations.reference.references import Assignment, Delivery, Model, Place, order_of
from flstore_core.records import Member, Round
from flstore_core.retry import Retry, growing
from flstore_core.schema import Schema

T = TypeVar("T")

WEIGHING = ("fedavg", "geometric-median")
"""Methods of the workload `aggregate` by which a client's weight counts."""
PAUSES_S = growing(0.2, 5.0)


@dataclass(frozen=True)
class ByReference:
    """How a training goes by reference."""

    method: str = "fedavg"
    """By which FLStore makes the aggregate: one of the workload `aggregate`."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Further parameters of that workload, such as `trim`."""
    away: Literal["stop", "value"] = "stop"
    """What happens in a round in which the store cannot be reached: the training stops, or it goes on by value. For
    that, the server keeps a copy of the newest model."""
    patience_s: float = 60.0
    """Seconds for which a round waits for the store before that."""
    ticket_s: int = 24 * 3600
    """Seconds for which a client's tickets are good: the longest that a client may take for a round."""
    url: str = ""
    """Of the gateway, as clients reach it; by default as the server does."""

    def __post_init__(self) -> None:
        if self.away not in ("stop", "value"):
            raise InvalidParameters(f"away is {self.away!r}; use 'stop' or 'value'")
        if not 0 < self.patience_s < 1e6:
            raise InvalidParameters(f"patience_s is {self.patience_s!r}; pass seconds")
        if not 1 <= self.ticket_s <= 24 * 3600:
            raise InvalidParameters(f"ticket_s is {self.ticket_s!r}; use 1 to 86400")

    def require_weights(self) -> None:
        """Raise `InvalidParameters` if clients cannot be weighed by the method."""
        if self.method not in WEIGHING:
            raise InvalidParameters(
                f"advice='weigh' needs a method that weighs clients, {' or '.join(WEIGHING)}; {self.method!r} does not"
            )


class Coordinator:
    """One training's side. Safe to share between threads.

    Args:
        url: the gateway's, as clients reach it.
        weight_key: the metric by which clients are weighed.
        pauses: between attempts while the store is away; by default real ones.
    """

    def __init__(self, recorder: Recorder, options: ByReference, url: str, weight_key: str) -> None:
        self._direct = recorder.direct
        self._options = options
        self._url = options.url or url
        self._weight_key = weight_key
        self._order: tuple[int, ...] | None = None
        self._newest: tuple[int, str] | None = None
        """The round of the newest aggregate, and its SHA-256."""

    def assign(self, number: int, clients: Sequence[str]) -> dict[str, Assignment]:
        """Return what each client of a round is asked to do: train from the newest model, and store its own update.

        Raises:
            Unavailable: if the store is away for too long.
            NotFound: if it has no model to start from.
        """
        self._direct.wait_to_begin(number, self._options.patience_s)
        return self._insist(number, lambda: self._assign(number, clients, to_store=True))

    def assign_evaluation(self, number: int, clients: Sequence[str]) -> dict[str, Assignment]:
        """Return assignments to evaluate the model that a round ends with; raise as `assign` does."""
        self._direct.wait_until_stored(number, self._options.patience_s)
        return self._insist(number, lambda: self._assign(number, clients, to_store=False))

    def confirm(
        self, number: int, deliveries: Mapping[str, Delivery], weights: Mapping[str, Any] | None = None
    ) -> dict[str, str]:
        """Return the clients whose updates are not stored as they said, each with the reason.

        Args:
            deliveries: by the name that the client was given.
            weights: what clients say that they weigh.
        """
        if not deliveries:
            return {}
        round_ = self._insist(number, lambda: self._round(number))
        refused = {}
        for client, delivery in deliveries.items():
            member = round_.by_client.get(client) if round_ else None  # type: ignore[call-overload]
            if why := self._objection(number, client, delivery, member, (weights or {}).get(client)):
                refused[client] = why
            elif member:
                self._direct.note(number, client, member.sha256, member.nbytes)
        return refused

    def aggregate(self, number: int, clients: Iterable[str], factors: Mapping[str, float] | None = None) -> str:
        """Have the round's aggregate made of some clients' updates, and return its SHA-256.

        Clients can fetch it from then on. The store may not have it before the round is closed.

        Args:
            factors: what clients' weights are multiplied by; nothing where the method does not weigh.

        Raises:
            Unavailable: if the store is away for too long.
            FLStoreError: why the method cannot make it, such as `NotEnoughData`.
        """
        self._direct.wait_until_stored(number, self._options.patience_s)
        stored = self._direct.stored(number)
        used = sorted(stored.intersection(clients))
        params: dict[str, Any] = {**self._options.params, "method": self._options.method, "clients": used}
        named = {client: factor for client, factor in (factors or {}).items() if client in used and factor != 1}
        if named and self._options.method in WEIGHING:
            params["factors"] = named
        return self._insist(number, lambda: self._make(number, params, early=True))

    def model(self, number: int) -> dict[str, NDArray[Any]]:
        """Return the model that a round ended with, or the one before where it ended without one."""
        return self._insist(number, lambda: self._load(number))

    def update(self, number: int, client: str) -> dict[str, NDArray[Any]]:
        """Return a client's update."""
        direct = self._direct
        return self._insist(number, lambda: direct.store.get_update(direct.job, direct.round_of(number), client))

    def _make(self, number: int, params: Mapping[str, Any], *, early: bool = False) -> str:
        direct = self._direct
        answer = direct.store.make_aggregate(direct.job, direct.round_of(number), replace=True, early=early, **params)
        sha256 = str(answer.result.artifact.sha256)
        direct.note_made(number, sha256, params)
        return sha256

    def _load(self, number: int) -> dict[str, NDArray[Any]]:
        made, round_ = self._direct.made(number), self._round(number)
        if made and round_ and made.is_missing_in(round_):  # what the server goes on with must not be lost
            self._make(number, made.params)
        start, _ = self._find(number)
        return self._direct.store.get_aggregate(self._direct.job, start)

    def _assign(self, number: int, clients: Sequence[str], *, to_store: bool) -> dict[str, Assignment]:
        store, job, options = self._direct.store, self._direct.job, self._options
        start, sha256 = self._find(number - 1 if to_store else number)
        if self._order is None:
            schema = Schema.from_json(store.job(job).schema)
            self._order = order_of(schema.names, [tensor.name for tensor in schema.tensors])
        reading = store.issue_tickets(job, start, clients, verb="aggregate", seconds=options.ticket_s)
        place: dict[str, Place] = {}
        if to_store:
            own = self._direct.round_of(number)
            writing = store.issue_tickets(job, own, clients, seconds=options.ticket_s)
            place = {client: Place(own, client, writing[client]) for client in clients}
            self._direct.expect(number, clients)
        by_value = options.away == "value"
        return {
            client: Assignment(
                Model(self._url, job, start, sha256, reading[client], self._order),
                place.get(client),
                self._weight_key,
                by_value,
            )
            for client in clients
        }

    def _find(self, number: int) -> tuple[int, str]:
        """Return the round and the SHA-256 of the model that a round ended with, or of the newest one before."""
        if made := self._direct.made(number):
            return self._direct.round_of(number), made.sha256  # not the newest of later rounds, before it is stored
        if (round_ := self._round(number)) and round_.aggregate:
            self._newest = (round_.number, round_.aggregate.sha256)
        if self._newest is None:
            raise NotFound("the store has no model to start from; begin the training with one")
        return self._newest

    def _round(self, number: int) -> Round | None:
        try:
            return self._direct.store.round(self._direct.job, self._direct.round_of(number))
        except NotFound:  # nobody has sent anything
            return None

    def _objection(self, number: int, client: str, delivery: Delivery, member: Member | None, weight: Any) -> str:
        given = (self._direct.job, self._direct.round_of(number), client)
        if (delivery.job, delivery.round, delivery.client) != given:
            return (
                f"it names the update of {delivery.client!r} in round {delivery.round} of {delivery.job!r}, not its own"
            )
        if member is None:
            return "it has stored no update"
        if member.sha256 != delivery.sha256:
            return f"it says that its update has the SHA-256 {delivery.sha256}, and {member.sha256} is stored"
        if weight is not None and member.weight is not None and float(weight) != member.weight:
            return f"it says that it weighs {weight}, and {member.weight:g} is stored"
        return ""

    def _insist(self, number: int, call: Callable[[], T]) -> T:
        """Make a call until the store answers it, or the round has no patience left."""
        attempts = Retry(PAUSES_S, jitter=0.3, give_up_s=self._options.patience_s).begin()
        while True:
            try:
                return call()
            except FLStoreError as error:
                if not is_away(error):
                    raise
                if not attempts.failed():
                    raise Unavailable(f"round {number} cannot go on by reference: {error}") from error
            attempts.wait()
