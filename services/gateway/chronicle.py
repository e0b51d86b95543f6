"""What a gateway did lately and what that cost, for people who look: by day and kind of request, and event by event.

It is kept in memory, of this gateway alone and since its start, and is bounded in days, rows and events. What has to
outlive a gateway, or to be summed over several, are the metrics, which Prometheus keeps.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any

from flstore_core.cost import Bill, RequestCost
from flstore_core.ids import JobId, decode
from services.gateway.answers.execution import Outcome

MOST_DAYS = 62
MOST_ROWS = 50_000
"""Rows of costs, of about 300 bytes each; the oldest days are forgotten beyond them."""
MOST_EVENTS = 1_000
COMMITTED, ACCUSED, WOKE = "committed", "accused", "woke"
"""Kinds of events."""
_FILTER = "malicious-filter"
"""The workload that accuses clients."""

Reaches = Callable[[list[str]], list[str]]
"""Returns those of some jobs that a caller may read."""


@dataclass
class Amount:
    """Dollars of one kind of request on one day, for one job; the baselines' only of requests that they answer too."""

    requests: int = 0
    dollars: float = 0.0
    objstore_dollars: float = 0.0
    cache_dollars: float = 0.0

    def add(self, other: "Amount") -> None:
        self.requests += other.requests
        self.dollars += other.dollars
        self.objstore_dollars += other.objstore_dollars
        self.cache_dollars += other.cache_dollars


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a round."""

    at: float
    kind: str
    job: JobId
    round: int
    clients: tuple[str, ...]
    """Whom it is about; of a committed round, nobody in particular."""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "job": decode(self.job), "clients": [decode(client) for client in self.clients]}


class Chronicle:
    """Costs and events of one gateway. Safe to share between threads.

    Args:
        now: returns the time, in seconds since the epoch; days are those of UTC.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.since = now()
        self._amounts: dict[tuple[str, JobId, str], Amount] = {}
        """By day, job and kind, the oldest day first."""
        self._events: deque[Event] = deque(maxlen=MOST_EVENTS)
        self._lock = Lock()

    def note_cost(self, job: JobId, kind: str, cost: RequestCost | Bill) -> None:
        """Count one request of a kind: a workload's name, or what else costs something."""
        match cost:
            case Bill():
                amount = Amount(1, cost.total)
            case RequestCost():
                amount = Amount(1, cost.ours.total, cost.objstore.total, cost.cache.total)
        day = f"{datetime.fromtimestamp(self._now(), UTC):%Y-%m-%d}"
        with self._lock:
            row = self._amounts.get((day, job, kind))
            if row is None:
                row = self._amounts[day, job, kind] = Amount()
                self._forget_old_days()
            row.add(amount)

    def note_committed(self, job: JobId, number: int) -> None:
        self._note(COMMITTED, job, number, ())

    def note_answer(self, outcome: Outcome) -> None:
        """Count what an answer cost, and note the clients that it accuses."""
        if outcome.execution.cost:
            self.note_cost(outcome.job, outcome.workload, outcome.execution.cost)
        if outcome.workload == _FILTER and (accused := outcome.result["malicious"]):
            self._note(ACCUSED, outcome.job, outcome.result["round"], tuple(accused))

    def costs(self, reaches: Reaches, job: JobId | None = None) -> list[dict[str, Any]]:
        """Return costs by day and kind, over the jobs that a caller reaches, or one of them."""
        with self._lock:
            amounts = {key: Amount(**asdict(amount)) for key, amount in self._amounts.items()}
        visible = set(reaches(sorted({name for _, name, _ in amounts if job in (None, name)})))
        sums: dict[tuple[str, str], Amount] = {}
        for (day, name, kind), amount in amounts.items():
            if name in visible:
                sums.setdefault((day, kind), Amount()).add(amount)
        return [{"day": day, "kind": kind, **asdict(amount)} for (day, kind), amount in sorted(sums.items())]

    def events(self, reaches: Reaches) -> list[dict[str, Any]]:
        """Return what happened in jobs that a caller reaches, the newest first."""
        with self._lock:
            events = list(self._events)
        visible = set(reaches(sorted({event.job for event in events})))
        return [event.to_json() for event in reversed(events) if event.job in visible]

    def _note(self, kind: str, job: JobId, number: int, clients: Iterable[str]) -> None:
        """Note an event, unless it has been noted: a commit may be repeated, and a question asked again."""
        event = Event(self._now(), kind, job, number, tuple(clients))
        with self._lock:
            if not any(_same(event, other) for other in self._events):
                self._events.append(event)

    def _forget_old_days(self) -> None:
        """Forget whole days, the oldest first, until few enough rows remain; those of today one by one."""
        days = sorted({day for day, *_ in self._amounts})
        while len(days) > MOST_DAYS or (len(self._amounts) > MOST_ROWS and len(days) > 1):
            oldest = days.pop(0)
            self._amounts = {key: amount for key, amount in self._amounts.items() if key[0] != oldest}
        while len(self._amounts) > MOST_ROWS:
            del self._amounts[next(iter(self._amounts))]


def _same(event: Event, other: Event) -> bool:
    return (event.kind, event.job, event.round, event.clients) == (other.kind, other.job, other.round, other.clients)
