"""A store that treats each call as chance has it. What it has promised, it keeps: conditions, and what was written."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from threading import current_thread
from typing import TypeVar

from flstore_core.errors import FLStoreError, StoreUnavailable
from flstore_core.storage import Body, ObjectInfo
from flstore_core.storage.base import MIB
from tests.fakes.interleaving import Scheduler
from tests.fakes.store import Call, MemoryStore
from tests.protocol.history import Attempt, History

T = TypeVar("T")

FINE, REFUSED, LOST, TWICE, LATE, CRASH = "fine", "refused", "answer lost", "twice", "late", "crash"


class Crash(BaseException):
    """The gateway has crashed. Nothing in it may catch this, and none of its calls reach the store any more."""


@dataclass
class Faults:
    """Chances of each treatment of a call, in calls of a thousand."""

    chances: dict[str, int] = field(default_factory=dict)

    def draw(self, chance: Random, call: Call) -> str:
        at = chance.randrange(1000)
        for treatment, share in self.chances.items():
            if at < share:
                return FINE if treatment in (TWICE, LATE) and not call.writes else treatment
            at -= share
        return FINE


@dataclass
class Pending:
    """A call whose caller has given it up, and which the store carries out later."""

    call: Call
    run: Callable[[], object]
    attempt: Attempt


class FaultyStore(MemoryStore):
    """A `MemoryStore` whose calls stop for a scheduler and have accidents.

    Attributes:
        quiet: no call stops and none has an accident.
        late: calls that are still to be carried out.
        told: what happened to which call, in order.
    """

    def __init__(self, scheduler: Scheduler, history: History, chance: Random, faults: Faults) -> None:
        super().__init__(lambda: 1000.0 + history.step * 0.01)
        self.quiet = True
        self.late: list[Pending] = []
        self.told: list[str] = []
        self._scheduler, self._history, self._chance, self._faults = scheduler, history, chance, faults
        self._dead: set[str] = set()

    def revive(self) -> None:
        """Let the calling thread go on after a crash, as a client that turns to another gateway."""
        self._dead.discard(current_thread().name)

    def carry_out(self, pending: Pending) -> None:
        """Carry out a call that its caller has given up."""
        self.late.remove(pending)
        self.told.append(f"{pending.call} (late)")
        pending.attempt.ended = self._history.step
        with suppress(FLStoreError):
            pending.run()

    def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        data = bytes(body)
        write = super().put
        return self._treat(Call("put", key), lambda: write(key, data, if_none_match=if_none_match, if_match=if_match))

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        read = super().get
        return self._treat(Call("get", key), lambda: read(key, offset=offset, length=length))

    def get_with_info(self, key: str) -> tuple[bytes, ObjectInfo]:
        read = super().get_with_info
        return self._treat(Call("get_with_info", key), lambda: read(key))

    def stream(self, key: str, *, offset: int = 0, length: int | None = None, chunk: int = MIB) -> Iterator[bytes]:
        read = super().stream
        yield from self._treat(Call("stream", key), lambda: list(read(key, offset=offset, length=length, chunk=chunk)))

    def stat(self, key: str) -> ObjectInfo:
        read = super().stat
        return self._treat(Call("stat", key), lambda: read(key))

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        read = super().list
        yield from self._treat(Call("list", prefix), lambda: tuple(read(prefix, recursive=recursive)))

    def folders(self, prefix: str = "") -> Iterator[str]:
        read = super().folders
        yield from self._treat(Call("folders", prefix), lambda: tuple(read(prefix)))

    def delete(self, key: str) -> None:
        remove = super().delete
        self._treat(Call("delete", key), lambda: remove(key))

    def delete_prefix(self, prefix: str) -> None:
        """Delete one object after the other, as a store does. Each may have an accident of its own."""
        for info in self.list(prefix):
            self.delete(info.key)

    def _treat(self, call: Call, run: Callable[[], T]) -> T:
        if self.quiet:
            return run()
        name = current_thread().name
        if name in self._dead:
            raise Crash
        self._scheduler.pause(call)
        treatment = self._faults.draw(self._chance, call)
        self.told.append(f"{name}: {call}" + (f" ({treatment})" if treatment != FINE else ""))
        if treatment == CRASH:
            self._dead.add(name)
            raise Crash
        if treatment == LATE:
            self.late.append(Pending(call, run, self._history.under_way[name]))
        if treatment in (REFUSED, LATE):
            raise StoreUnavailable(f"{call} {treatment}")
        answer = run()
        if treatment == TWICE:
            self._scheduler.pause(call)
            answer = run()
        if treatment == LOST:
            raise StoreUnavailable(f"{call}: {treatment}")
        return answer
