"""Circuits limit how many calls wait for a silent backend, so that calls of other backends still find a thread.

A call waits in a thread. A backend that hangs takes requests and answers none. Without a limit, all threads would end
up waiting for it, and none would be left for other jobs. So the calls of each backend are counted:

    closed ── a call times out ──▶ half open: up to TRIALS calls wait; further ones are refused at once
    half open ── any answer ──▶ closed
    closed, and nothing heard for SILENT_S seconds: up to MOST_SILENT calls wait; further ones are refused at once

Example: a shard freezes while 5 calls wait for it. The next 11 still wait, because it may only be starting. After 10 s
without an answer the 17th is refused. After 60 s the calls time out; from then on 4 calls at a time try the shard, and
the first that is answered lets everybody through again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from urllib3 import exceptions

from flstore_core.errors import BackendSilent, FLStoreError

SILENT_S = 10.0
"""Seconds without an answer after which a backend counts as silent; a cold start takes less."""
MOST_SILENT = 16
"""Calls that may wait for a silent backend: fewer than a gateway has workers."""
TRIALS = 4
"""Calls that may wait at a time for a backend whose last call timed out."""


@dataclass
class _Circuit:
    """The calls of one backend."""

    waiting: int = 0
    heard_at: float = 0.0
    """When it last answered, or when it was first called after a time without calls."""
    timed_out: bool = False

    def limit(self, now: float) -> int | None:
        """Return how many calls may wait at once, or None for any number."""
        if self.timed_out:
            return TRIALS
        return MOST_SILENT if now - self.heard_at > SILENT_S else None


class Circuits:
    """Counts the calls of every backend by its address. Safe to share between threads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._circuits: dict[str, _Circuit] = {}
        self._lock = Lock()

    @contextmanager
    def call(self, url: str) -> Iterator[None]:
        """Count one call for as long as the block lasts, and learn from how it ends.

        Raises:
            BackendSilent: if as many calls wait for the backend as may.
        """
        circuit = self._enter(url)
        try:
            yield
        except FLStoreError:
            self._leave(circuit, answered=True)
            raise
        except exceptions.HTTPError as error:
            # urllib3 calls a refused connection a timeout too. That one came at once, so it held no thread up.
            refused = isinstance(error, exceptions.NewConnectionError)
            self._leave(circuit, timed_out=isinstance(error, exceptions.TimeoutError) and not refused)
            raise
        except BaseException:
            self._leave(circuit)
            raise
        self._leave(circuit, answered=True)

    def _enter(self, url: str) -> _Circuit:
        now = self._clock()
        with self._lock:
            circuit = self._circuits.setdefault(url, _Circuit())
            if not circuit.waiting:
                circuit.heard_at = now  # nobody waited until now, so a silence can only begin now
            limit = circuit.limit(now)
            if limit is not None and circuit.waiting >= limit:
                seconds = now - circuit.heard_at
                raise BackendSilent(
                    f"{url} has not answered for {seconds:.0f} s, and {circuit.waiting} calls wait for it"
                )
            circuit.waiting += 1
        return circuit

    def _leave(self, circuit: _Circuit, *, answered: bool = False, timed_out: bool = False) -> None:
        now = self._clock()
        with self._lock:
            circuit.waiting -= 1
            if answered:
                circuit.heard_at, circuit.timed_out = now, False
            circuit.timed_out |= timed_out
