"""What gateways answer is what follows from the records by the definitions, whatever they have in memory."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from flstore_core import layout
from flstore_core.records import Job, Round
from services.gateway.state import State
from tests.gateway.rounds.world import NAME, gram, values
from tests.protocol.plans import CACHED, ROUNDS
from tests.protocol.promises.end import SEEDS, End, ask, read_job


def check(end: End) -> None:
    """Check what was answered, and what gateways would answer now."""
    if end.job:
        for attempt in end.history.of("aggregate", "compare", home=end.job.home):
            if isinstance(attempt.answer, dict):
                _check_answer(end, end.job, attempt.answer)
    _check_caches(end)


def _check_answer(end: End, job: Job, answer: Mapping[str, Any]) -> None:
    """An answer is that of the reference for updates that the clients which it names have sent."""
    sent = end.history.of("put", "replace", home=job.home, number=answer["round"])
    seeds = defaultdict(set)
    for attempt in sent:
        seeds[attempt.client].add(attempt.wish.seed)
    possible = product(*(seeds[client] for client in answer["clients"]))
    matches = _is_matrix if "matrix" in answer else partial(_is_artifact, end, job)
    assert any(matches(answer, each) for each in possible), f"{answer} does not follow from any updates that were sent"


def _is_matrix(answer: Mapping[str, Any], seeds: Sequence[int]) -> bool:
    products = np.array(gram(seeds))
    norms = np.sqrt(np.diag(products))
    return np.allclose(answer["matrix"], products / np.outer(norms, norms))


def _is_artifact(end: End, job: Job, answer: Mapping[str, Any], seeds: Sequence[int]) -> bool:
    content = end.store.contents.get(layout.artifact(job.home, answer["artifact"]["sha256"][:32]))
    if content is None:
        return any(end.history.of("erase"))  # it was made of the erased client
    expected = (np.array(seeds) / sum(seeds)) @ np.array([values(seed) for seed in seeds])
    return np.allclose(np.frombuffer(content[-24:], np.float32), expected, rtol=1e-5, atol=1e-6)


def _check_caches(end: End) -> None:
    """Once it has looked at the store again, every gateway answers as one that was just started."""
    end.history.step += int(100 * CACHED) + 1
    expected = list(_said(end.gateway))
    if end.job:
        for record in end.records.values():
            if record and record.members:
                _check_questions(end, end.job, record)
    for gateway in end.gateways:
        end.history.step += 1
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


def _check_questions(end: End, job: Job, record: Round) -> None:
    seeds = [SEEDS[member.sha256] for member in record.members]
    metrics = ask(end.gateway, "metrics", first=record.number, last=record.number)
    assert metrics["participations"] == len(seeds)
    assert metrics["groups"][0]["values"]["num_examples"]["mean"] == np.mean(seeds)
    answer = ask(end.gateway, "aggregate", round=record.number)
    assert answer["clients"] == [str(member.client) for member in record.members]
    assert _is_artifact(end, job, answer, seeds), "an aggregate is not the mean of the round's updates"
