"""What is erased is nowhere: not in the store, and in no answer."""

import json
from collections.abc import Iterable
from math import inf

import numpy as np

from flstore_core import layout
from flstore_core.ids import ClientId
from flstore_core.records import REMOVED, Job, Round
from services.gateway.rounds.erase import Erasure
from tests.gateway.rounds.world import values
from tests.protocol.history import Attempt
from tests.protocol.plans import CLIENTS, ROUNDS
from tests.protocol.promises.end import End


def check(end: End) -> None:
    """Check what is promised of erasures."""
    if end.job is None:
        return
    for client in CLIENTS:
        if (asked := end.erased_at(client)) < inf:
            _check_records(end, end.job, client)
            puts = end.history.of("put", "replace", client=client, home=end.job.home)
            if not any(put.ended >= asked for put in puts):
                _check_keys(end, end.job, client)
                _check_contents(end, end.job, client)
    for erasure in end.history.of("erase"):
        if isinstance(erasure.answer, Erasure):
            _check_answers(end, erasure)


def _check_keys(end: End, job: Job, client: str) -> None:
    """No file is left of a client, unless the store wrote it after the erasure."""
    marks = [layout.member(job.home, number, ClientId(client)) for number in ROUNDS]
    left = [key for key in end.store.contents if key.startswith(f"{job.home}/") and f"/clients/{client}" in key]
    assert set(left) <= set(marks), f"{client} is erased, and there is {left}"


def _check_contents(end: End, job: Job, client: str) -> None:
    """No object has the client's numbers, under whatever name. A question that was cut off may have left a model.

    Aggregates stay as they are, also those that were made of one client.
    """
    if any(each.answer is None or each.ended > each.answered for each in end.history.of("aggregate")):
        return
    seeds = {each.wish.seed for each in end.history.of("put", "replace", client=client)}
    kept = tuple(f"{layout.round_prefix(job.home, number)}aggregate" for number in ROUNDS)
    contents = {
        key: content
        for key, content in end.store.contents.items()
        if key.startswith(f"{job.home}/") and not key.startswith(kept)
    }
    for numbers in (np.array(values(seed), np.float32).tobytes() for seed in seeds):
        left = [key for key, content in contents.items() if numbers in content]
        assert not left, f"{client} is erased, and its numbers are in {left}"
    models = [key for key in contents if key.startswith(layout.artifacts_prefix(job.home))]
    made = [key for key in models if f'"{client}\\'.encode() in contents[key]]  # it is in JSON in JSON
    assert not made, f"{client} is erased, and {made} were made of it"


def _check_records(end: End, job: Job, client: str) -> None:
    """No record and no row is left of a client."""
    for number in ROUNDS:
        place = end.store.contents.get(layout.member(job.home, number, ClientId(client)))
        assert place is None or REMOVED in json.loads(place), f"{client} is erased, and has a record in {number}"
        record = end.store.contents.get(layout.round_record(job.home, number), b"")
        assert client not in record.decode(), f"{client} is erased, and in round {number}"
        statistics = end.read_statistics(number)
        assert statistics is None or client not in statistics.members, f"{client} is erased, and in statistics"


def _check_answers(end: End, erasure: Attempt) -> None:
    """The gateway that has erased a client names it in no answer to what it is asked afterwards.

    Others may, until they look at the store again.
    """
    puts = end.history.of("put", "replace", client=erasure.client, home=erasure.home)
    if any(put.ended >= erasure.began for put in puts):
        return
    for attempt in end.history.of(
        "read", "commit", "commit-filled", "aggregate", "compare", "make", "remake", "make-early", home=erasure.home
    ):
        if attempt.gateway is erasure.gateway and attempt.began > erasure.ended:
            assert erasure.client not in _named(attempt.answer), f"{erasure.client} is erased, and in an answer"


def _named(answer: object) -> Iterable[str]:
    if isinstance(answer, Round):
        return answer.by_client
    return answer["clients"] if isinstance(answer, dict) else ()
