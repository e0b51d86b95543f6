"""What gateways answer is what follows from the records by the definitions, whatever they have in memory."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from flstore_core import layout
from flstore_core.ids import AGGREGATE
from flstore_core.records import Round
from services.gateway.state import State
from tests.gateway.rounds.world import NAME
from tests.protocol.plans import CACHED, ROUNDS
from tests.protocol.promises.end import SEEDS, ZERO, End, Vector, ask, mean, numbers_in, numbers_of, read_job


def check(end: End) -> None:
    """Check what was answered, and what gateways would answer now."""
    if end.job:
        for attempt in end.history.of("aggregate", "compare", "make", "remake", "make-early", home=end.job.home):
            if isinstance(attempt.answer, dict):
                _check_answer(end, attempt.answer)
    _check_caches(end)


def _check_answer(end: End, answer: Mapping[str, Any]) -> None:
    """An answer is that of the reference for updates that the clients which it names have sent."""
    possible = product(*(end.sent(answer["round"])[client] for client in answer["clients"]))
    matches = partial(_is_matrix if "matrix" in answer else _is_model, end)
    assert any(matches(answer, each) for each in possible), f"{answer} does not follow from any updates that were sent"


def _is_matrix(end: End, answer: Mapping[str, Any], seeds: Sequence[int]) -> bool:
    return any(np.allclose(answer["matrix"], _cosines(seeds, base)) for base in _bases(end, answer["round"]))


def _cosines(seeds: Sequence[int], base: Vector) -> Vector:
    deltas = numbers_of(seeds) - base
    lengths = np.linalg.norm(deltas, axis=1, keepdims=True)
    directions = deltas / np.where(lengths, lengths, 1.0)
    return directions @ directions.T


def _bases(end: End, number: int) -> Iterator[Vector]:
    """Yield what a round's updates may have been compared with: zero, and all that the round before may have made."""
    yield ZERO
    choices = [[0, *seeds] for seeds in end.sent(number - 1).values()]
    for some in product(*choices):
        if seeds := [seed for seed in some if seed]:
            yield mean(seeds)


def _is_model(end: End, answer: Mapping[str, Any], seeds: Sequence[int]) -> bool:
    content = end.find_content(answer["artifact"]["sha256"])
    if content is None:
        return any(
            end.history.of("erase", "remake", "make-early")
        )  # of the erased client, replaced, or lost with a gateway
    return np.allclose(numbers_in(content), mean(seeds), rtol=1e-5, atol=1e-6)


def _check_caches(end: End) -> None:
    """Once it has looked at the store again, every gateway answers as one that was just started."""
    end.history.step += int(100 * CACHED) + 1
    expected = list(_said(end.gateway))
    if end.job:
        for record in end.records.values():
            if record and record.members:
                _check_questions(end, record)
    for gateway in end.gateways:
        end.history.step += 1
        _check_newest(end, gateway.state)
        said = list(_said(gateway.state))
        assert said == expected, f"a gateway answers {said}, where one just started answers {expected}"


def _said(gateway: State) -> Iterator[object]:
    """Return what a gateway says of the job and of each round."""
    job = read_job(gateway)
    yield job and job.home
    if job is None:
        return
    index = gateway.rounds.catalog.read_index(NAME)
    yield list(index.committed), list(index.open), index.participations
    for number in ROUNDS:
        yield gateway.rounds.records.read_record(job, number)


def _check_newest(end: End, gateway: State) -> None:
    """What a gateway has of an aggregate in memory is what the store has."""
    for number, record in end.records.items() if end.job else ():
        if record and record.aggregate and end.job:
            key = layout.tensors(end.job.home, number, AGGREGATE, record.aggregate.upload)
            body = gateway.newest.get(end.job.home, key)
            assert body is None or bytes(body) == end.store.contents[key], "a gateway hands out another aggregate"


def _check_questions(end: End, record: Round) -> None:
    seeds = [SEEDS[member.sha256] for member in record.members]
    metrics = ask(end.gateway, "metrics", first=record.number, last=record.number)
    assert metrics["participations"] == len(seeds)
    assert metrics["groups"][0]["values"]["num_examples"]["mean"] == np.mean(seeds)
    answer = ask(end.gateway, "aggregate", round=record.number)
    assert answer["clients"] == [str(member.client) for member in record.members]
    assert _is_model(end, answer, seeds), "an aggregate is not the mean of the round's updates"
