"""The end of a schedule, as a gateway sees it that was just started and has gone on with what broke off."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core import layout
from flstore_core.errors import NotFound
from flstore_core.ids import ClientId
from flstore_core.records import Job, Member, Round
from flstore_core.statistics import RoundStatistics
from services.gateway.answers.question import Options
from services.gateway.rounds.erase import Erasure
from services.gateway.state import State
from tests.fakes.clock import FakeTime
from tests.gateway.rounds.world import NAME, body, values
from tests.protocol.history import Attempt
from tests.protocol.plans import ROUNDS
from tests.protocol.schedules import Schedule

Vector = NDArray[np.float64]
"""The numbers of an update or of a model; or a matrix of what is computed of them."""

ZERO: Vector = np.zeros(6)

SEEDS = {sha256(body(seed)).hexdigest(): seed for seed in range(1, 7)}
"""Of updates, by their hash."""


class End:
    """Looks at the end of a schedule."""

    def __init__(self, schedule: Schedule) -> None:
        self.history = schedule.history
        self.store = schedule.store
        self.gateways = [gateway for gateway in schedule.gateways if not gateway.crashed]
        self.gateway = schedule.site.start_gateway(FakeTime(), 0.0).state
        for _ in range(2):  # at its second look a gateway finishes erasures that broke off
            self.gateway.eraser.go_on()
        self.job = read_job(self.gateway)

    @cached_property
    def records(self) -> Mapping[int, Round | None]:
        """The records of all rounds, None for those that are not committed."""
        assert self.job
        return {number: self.gateway.rounds.records.read_record(self.job, number) for number in ROUNDS}

    def sent(self, number: int) -> Mapping[str, set[int]]:
        """Return the seeds of what each client has tried to send for a round."""
        seeds = defaultdict[str, set[int]](set)
        for attempt in self.history.of("put", "replace", home=self.job.home if self.job else "", number=number):
            seeds[attempt.client].add(attempt.wish.seed)
        return seeds

    def find_content(self, sha: str) -> bytes | None:
        """Return the object with a hash."""
        return next((each for each in self.store.contents.values() if sha256(each).hexdigest() == sha), None)

    def read_numbers(self, model: Member) -> Vector:
        """Return the numbers of a model by its record."""
        content = self.find_content(model.sha256)
        assert content is not None, f"{model.client}'s record has no tensors"
        return numbers_in(content)

    def find(self, number: int, client: str) -> Member | None:
        """Return what counts of a client in a round."""
        assert self.job
        if record := self.records[number]:
            return record.find(ClientId(client))
        return self.gateway.rounds.records.read_member(self.job, number, ClientId(client))

    def same_place(self, *kinds: str, like: Attempt) -> Iterator[Attempt]:
        """Return the attempts at the place of another one."""
        return self.history.of(*kinds, home=like.home, number=like.number, client=like.client)

    def read_statistics(self, number: int) -> RoundStatistics | None:
        """Return a round's statistics as they are stored."""
        assert self.job
        content = self.store.contents.get(layout.statistics(self.job.home, number))
        return RoundStatistics.from_bytes(content) if content else None

    def erased_at(self, client: str) -> float:
        """Return when the last erasure began of which nothing may be left: the client has not come again since.

        Uploads that were answered before do not bring it back, however late the store carries out their calls.
        """
        assert self.job
        erasures = self.history.of("erase", client=client, home=self.job.home)
        asked = max((each.began for each in erasures if isinstance(each.answer, Erasure)), default=inf)
        puts = self.history.of("put", "replace", client=client, home=self.job.home)
        return inf if any(put.answered >= asked for put in puts) else asked


def mean(seeds: Sequence[int]) -> Vector:
    """Return the mean of updates by their numbers of examples, which are their seeds."""
    return np.average(numbers_of(seeds), axis=0, weights=seeds)


def numbers_of(seeds: Sequence[int]) -> Vector:
    """Return the numbers of updates, one a row."""
    return np.array([values(seed) for seed in seeds])


def numbers_in(content: bytes) -> Vector:
    """Return the numbers of a model's file."""
    return np.frombuffer(content[-24:], np.float32).astype(float)


def read_job(gateway: State) -> Job | None:
    """Return the job, if there is one for a gateway."""
    try:
        return gateway.rounds.catalog.read_job(NAME)
    except NotFound:
        return None


def ask(gateway: State, workload: str, **parameters: object) -> Any:
    """Return a gateway's answer to a question."""
    return gateway.runner.run(NAME, workload, parameters, Options()).result
