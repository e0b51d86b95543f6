"""Operations that break off at any of their calls of the store, and are sent again through another gateway."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import count

import pytest

from flstore_core import layout
from flstore_core.errors import NotFound, StoreUnavailable
from flstore_core.ids import ClientId
from flstore_core.statistics import RoundStatistics
from tests.fakes.store import Call, MemoryStore
from tests.gateway.rounds.world import HOME, NAME, World, world

Operation = Callable[[World], object]


def filled() -> World:
    """Return a gateway with round 0 (a, b, aggregate; committed) and round 1 (a, b; open)."""
    gateway = world()
    for number in (0, 1):
        for client in ("a", "b"):
            gateway.put(number, client, ord(client) + number)
        if number == 0:
            gateway.put_aggregate(0, 5)
            gateway.commit(0)
    return gateway


def put(gateway: World) -> object:
    return gateway.put(1, "c", 3)


def put_first(gateway: World) -> object:
    return gateway.put(2, "c", 3)


def put_aggregate(gateway: World) -> object:
    return gateway.put_aggregate(1, 3)


def commit(gateway: World) -> object:
    return gateway.commit(1, metrics={"accuracy": 0.5})


def commit_empty(gateway: World) -> object:
    return gateway.commit(3)


def erase(gateway: World) -> object:
    try:
        return gateway.erase("a")
    except NotFound:  # the attempt that broke off had come to the end
        return None


def rounds(store: MemoryStore) -> Mapping[str, bytes]:
    """Return what is stored of a job's rounds, without the names of uploads and removals, and files of no record."""
    named = {key: body for key, body in store.contents.items() if key.startswith(layout.rounds_prefix(HOME))}
    records = b"".join(body for key, body in named.items() if key.endswith(".json"))
    found: dict[str, bytes] = {}
    for key, body in named.items():
        stem, _, upload = key.removesuffix(".safetensors").partition("~")
        if not upload or f'"upload":"{upload}"'.encode() in records:
            body = RoundStatistics.from_bytes(body).to_bytes() if stem.endswith("/statistics") else body
            found[stem] = re.sub(rb'(upload|removed)":"u[0-9]+', rb"\1", body)
    return found


def break_off(store: MemoryStore, hook: str, calls: int) -> list[Call]:
    """Make a store fail at its `calls`-th call from now on; return a list that this call is added to."""
    number = count()
    broken: list[Call] = []

    def fail(call: Call) -> None:
        if next(number) == calls:
            broken.append(call)
            raise StoreUnavailable("the store is away")

    setattr(store, hook, fail)
    return broken


@pytest.mark.parametrize("hook", ["before", "after"])
@pytest.mark.parametrize("operation", [put, put_first, put_aggregate, commit, commit_empty, erase])
def test_whichever_call_fails_the_next_attempt_ends_as_if_nothing_had(operation: Operation, hook: str) -> None:
    undisturbed = filled()
    operation(undisturbed)
    expected = rounds(undisturbed.store)
    failures: list[Call] = []
    for calls in count():
        gateway = filled()
        broken = break_off(gateway.store, hook, calls)
        try:
            operation(gateway)
        except StoreUnavailable:
            failures += broken
        setattr(gateway.store, hook, lambda call: None)
        if not broken:
            break
        operation(World.make(gateway.store, gateway.time))
        assert rounds(gateway.store) == expected, f"after {broken[0]} failed"
    assert {"put"} <= {call.method for call in failures}
    assert len(failures) >= 5, "nearly every call's failure reaches the caller"


@pytest.mark.parametrize("hook", ["before", "after"])
def test_whichever_call_fails_a_job_is_gone_once_its_deletion_is_asked_for_again(hook: str) -> None:
    for calls in count():
        gateway = filled()
        broken = break_off(gateway.store, hook, calls)
        with suppress(StoreUnavailable):
            gateway.jobs.delete(NAME)
        setattr(gateway.store, hook, lambda call: None)
        with suppress(NotFound):  # if all but the answer was done
            World.make(gateway.store, gateway.time).jobs.delete(NAME)
        assert rounds(gateway.store) == {}, f"after {broken} failed"
        if not broken:
            break
    assert calls > 5, "a deletion has many calls that may fail"


@pytest.mark.parametrize("repeat", [lambda gateway: gateway.put(0, "a", ord("a")), lambda gateway: gateway.commit(0)])
def test_a_job_whose_deletion_broke_off_repeats_no_acknowledgement(repeat: Operation) -> None:
    deleting = filled()
    other = World.make(deleting.store, deleting.time)
    assert repeat(other)
    fails_after_the_mark = 3
    break_off(deleting.store, "before", fails_after_the_mark)
    with pytest.raises(StoreUnavailable):
        deleting.jobs.delete(NAME)
    deleting.store.delete(layout.member(HOME, 0, ClientId("a")))  # the sweep may have come this far
    with pytest.raises(NotFound):
        repeat(other)
