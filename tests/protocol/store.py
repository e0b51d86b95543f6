"""A store that treats each call as it is told to. What a store promises, it keeps: conditions, and what was written."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from threading import current_thread
from typing import TypeVar

from flstore_core.errors import FLStoreError, StoreUnavailable
from flstore_core.storage import Body, ObjectInfo
from flstore_core.storage.base import MIB, pieces_of
from tests.fakes.interleaving import Scheduler
from tests.fakes.store import Call, MemoryStore
from tests.protocol.history import Attempt, History
from tests.protocol.treatments import CRASH, FINE, LAST, LATE, LOST, REFUSED, STALLED, TWICE, Treatments

T = TypeVar("T")


class Crash(BaseException):
    """The gateway has crashed. Nothing in it may catch this, and none of its calls reach the store any more."""


@dataclass
class LateCall:
    """A call whose caller has given it up, and which is carried out later."""

    name: str
    pending: Call | None
    run: Callable[[], object]
    attempt: Attempt
    stale: bool = False


@dataclass
class Log:
    """What happened to which call, in order."""

    lines: list[str] = field(default_factory=list)
    accidents: dict[tuple[str, int], str] = field(default_factory=dict)
    """By client and number of its call."""
    calls: dict[str, int] = field(default_factory=dict)
    """How many each client has made."""


class FaultyStore(MemoryStore):
    """A `MemoryStore` whose calls stop for a scheduler and have accidents.

    Attributes:
        quiet: no call stops and none has an accident.
        late: calls that are still to be carried out.
        log: what happened.
    """

    def __init__(self, scheduler: Scheduler, history: History, treatments: Treatments) -> None:
        super().__init__(lambda: 1000.0 + history.step * 0.01)
        self.quiet = True
        self.late: list[LateCall] = []
        self.log = Log()
        self._scheduler, self._history, self._treatments = scheduler, history, treatments

    def calm(self) -> MemoryStore:
        """Return a view of the same objects whose calls neither stop nor have accidents."""
        view = MemoryStore(self._now)
        view._objects, view._lock = self._objects, self._lock
        return view

    def carry_out(self, late: LateCall) -> None:
        """Carry out a call that its caller has given up."""
        self.late.remove(late)
        self.log.lines.append(f"{late.name}: {late.pending}")
        late.attempt.ended = self._history.step
        with suppress(FLStoreError):
            late.run()

    def wait_for_others(self) -> None:
        """Stop until nobody else can go on."""
        self._scheduler.pause(Call(LAST))

    def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        data = b"".join(pieces_of(body))
        write = super().put
        return self.treat(Call("put", key), lambda: write(key, data, if_none_match=if_none_match, if_match=if_match))

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        read = super().get
        return self.treat(Call("get", key), lambda: read(key, offset=offset, length=length))

    def get_with_info(self, key: str) -> tuple[bytes, ObjectInfo]:
        read = super().get_with_info
        return self.treat(Call("get_with_info", key), lambda: read(key))

    def read_into(self, key: str, buffer: memoryview, *, offset: int = 0) -> None:
        read = super().read_into
        self.treat(Call("read_into", key), lambda: read(key, buffer, offset=offset))

    def stream(self, key: str, *, offset: int = 0, length: int | None = None, chunk: int = MIB) -> Iterator[bytes]:
        read = super().stream
        yield from self.treat(Call("stream", key), lambda: list(read(key, offset=offset, length=length, chunk=chunk)))

    def stat(self, key: str) -> ObjectInfo:
        read = super().stat
        return self.treat(Call("stat", key), lambda: read(key))

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        read = super().list
        yield from self.treat(Call("list", prefix), lambda: tuple(read(prefix, recursive=recursive)))

    def folders(self, prefix: str = "") -> Iterator[str]:
        read = super().folders
        yield from self.treat(Call("folders", prefix), lambda: tuple(read(prefix)))

    def delete(self, key: str) -> None:
        remove = super().delete
        self.treat(Call("delete", key), lambda: remove(key))

    def delete_prefix(self, prefix: str) -> None:
        """Delete one object after the other, as a store does. Each may have an accident of its own."""
        for info in self.list(prefix):
            self.delete(info.key)

    def treat(self, call: Call, run: Callable[[], T]) -> T:
        """Stop before a call, and then let happen to it what is due."""
        if self.quiet:
            return run()
        client = current_thread().name
        self._stop(client, call)
        number = self.log.calls[client] = self.log.calls.get(client, 0) + 1
        treatment = self._treatments(call, client, number)
        self.log.lines.append(f"{client}: {call}" + (f" ({treatment})" if treatment != FINE else ""))
        if treatment != FINE:
            self.log.accidents[client, number] = treatment
        return self._carry_out(call, run, client, treatment)

    def _carry_out(self, call: Call, run: Callable[[], T], client: str, treatment: str) -> T:
        attempt = self._history.under_way[client]
        if treatment == CRASH:
            attempt.gateway.crashed = True
            raise Crash
        if treatment == LATE:
            name = f"{client}'s late call {self.log.calls[client]}"
            self.late.append(LateCall(name, call, run, attempt))
        if treatment in (REFUSED, LATE):
            raise StoreUnavailable(f"{call}: {treatment}")
        try:
            answer = run()
        finally:
            if treatment in (TWICE, STALLED, LAST):
                self._stop(client, Call(LAST, call.key) if treatment == LAST else call)
        if treatment == TWICE:
            answer = run()
        if treatment == LOST:
            raise StoreUnavailable(f"{call}: {treatment}")
        return answer

    def _stop(self, client: str, call: Call) -> None:
        self._scheduler.pause(call)
        if self._history.under_way[client].gateway.crashed:
            raise Crash
