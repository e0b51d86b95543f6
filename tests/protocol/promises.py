"""What must hold at the end of a schedule, whatever happened in it."""

import json
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from math import inf
from typing import Any

import numpy as np

from flstore_core import layout
from flstore_core.errors import NotFound
from flstore_core.ids import ClientId
from flstore_core.records import REMOVED, Job, Member, Round
from flstore_core.statistics import RoundStatistics
from services.gateway.answers.question import Options
from services.gateway.rounds.erase import Erasure
from services.gateway.rounds.ingest import Receipt
from services.gateway.rounds.statistics import Statistics
from services.gateway.state import State
from tests.fakes.clock import FakeTime
from tests.gateway.rounds.world import JOB, NAME, body, gram, values
from tests.protocol.history import Attempt
from tests.protocol.plans import CACHED, CLIENTS, ROUNDS
from tests.protocol.schedules import Schedule

SEEDS = {sha256(body(seed)).hexdigest(): seed for seed in range(1, 7)}


class Judge:
    """Looks at the end of a schedule through a gateway that was just started.

    Every check raises `AssertionError`.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.history = schedule.history
        self.store = schedule.store
        self.gateways = [gateway for gateway in schedule.gateways if not gateway.crashed]
        self.gateway = schedule.site.start_gateway(FakeTime(), 0.0).state
        self.statistics = Statistics(self.gateway.rounds, self.gateway.backends)
        self.job = _read_job(self.gateway)

    def check(self) -> None:
        """Check everything that is promised."""
        if self.job:
            for number in ROUNDS:
                self._check_round(self.job, number)
            for client in CLIENTS:
                self._check_erased(self.job, client)
            for attempt in self.history.of("put", "replace", home=self.job.home):
                if isinstance(attempt.answer, Receipt):
                    self._check_acknowledged(self.job, attempt, attempt.answer)
            for attempt in self.history.of("drop", home=self.job.home):
                if isinstance(attempt.answer, Member):
                    self._check_dropped(self.job, attempt)
        self._check_lives()
        self._check_caches()
        self._check_deletion()

    def _check_round(self, job: Job, number: int) -> None:
        """A committed round is what every commit was answered, less who was erased; and no record names other bytes."""
        record = self.gateway.rounds.records.read_record(job, number)
        for member in record.members if record else self.gateway.rounds.records.read_members(job, number):
            tensors = self.store.contents.get(layout.tensors(job.home, number, member.client, member.upload))
            assert tensors is not None, f"round {number}: {member.client}'s record has no tensors"
            assert sha256(tensors).hexdigest() == member.sha256, f"round {number}: {member.client}'s are other bytes"
        for attempt in self.history.of("commit", "read", home=job.home, number=number):
            if isinstance(attempt.answer, Round):
                self._check_same(attempt.answer, record)
        if record:
            self._check_places(job, record)
            self._check_statistics(job, record)

    def _check_same(self, answer: Round, record: Round | None) -> None:
        assert record is not None, f"round {answer.number} was committed and is not"
        erased = {each.client for each in self.history.of("erase")}
        stays = [member for member in answer.members if member.client not in erased]
        assert stays == [member for member in record.members if member.client not in erased], "a round has changed"
        assert {*record.by_client} <= {*answer.by_client}, "a round has got members"
        assert answer.metrics == record.metrics, "a round's metrics have changed"

    def _check_places(self, job: Job, record: Round) -> None:
        """What can be read of a committed round is what is in it."""
        for client in set(CLIENTS) - {*record.by_client}:
            with suppress(NotFound):
                self.gateway.rounds.openings.read_model(job, record.number, ClientId(client))
                raise AssertionError(f"{client} is not in round {record.number}, and can be read")

    def _check_statistics(self, job: Job, record: Round) -> None:
        stored = self._stored_statistics(job, record.number)
        statistics = self.statistics.repair(job, record, stored).statistics
        if record.members:
            assert statistics is not None
            seeds = [SEEDS[member.sha256] for member in record.members]
            assert statistics.gram.tolist() == gram(seeds), "statistics are not those of the round's members"

    def _check_acknowledged(self, job: Job, attempt: Attempt, receipt: Receipt) -> None:
        """What was acknowledged is stored and counted, unless it was erased, replaced or taken back afterwards."""
        later = [*self.history.of("erase", client=attempt.client), *self._same_place("replace", "drop", like=attempt)]
        if any(each.ended >= attempt.began for each in later if each is not attempt):
            return
        member = self._find(job, attempt)
        assert member is not None, f"{attempt.client} was acknowledged in round {attempt.number} and does not count"
        assert member.sha256 == receipt.member.sha256, f"{attempt.client} was acknowledged with other bytes"

    def _check_dropped(self, job: Job, attempt: Attempt) -> None:
        """What was taken back counts nowhere, unless it came again."""
        again = self._same_place("put", "replace", like=attempt)
        if not any(each.ended >= attempt.began for each in again):
            assert self._find(job, attempt) is None, f"{attempt.client} was taken back in {attempt.number} and counts"

    def _find(self, job: Job, attempt: Attempt) -> Member | None:
        """Return what counts of a client in a round."""
        client = ClientId(attempt.client)
        if record := self.gateway.rounds.records.read_record(job, attempt.number):
            return record.by_client.get(client)
        return self.gateway.rounds.records.read_member(job, attempt.number, client)

    def _same_place(self, *kinds: str, like: Attempt) -> Iterator[Attempt]:
        """Return the attempts at the place of another one."""
        return self.history.of(*kinds, home=like.home, number=like.number, client=like.client)

    def _check_erased(self, job: Job, client: str) -> None:
        """Nothing is left of an erased client, unless it came again during the erasure or afterwards."""
        erasures = self.history.of("erase", client=client, home=job.home)
        asked = max((each.began for each in erasures if isinstance(each.answer, Erasure)), default=inf)
        puts = self.history.of("put", "replace", client=client, home=job.home)
        if asked == inf or any(put.ended >= asked for put in puts):
            return
        marked = [layout.member(job.home, number, ClientId(client)) for number in ROUNDS]
        left = [key for key in self.store.contents if key.startswith(f"{job.home}/") and client in key]
        left = [key for key in left if key not in marked or REMOVED not in json.loads(self.store.contents[key])]
        assert not left, f"{client} is erased, and there is {left}"
        for number in ROUNDS:
            record = self.store.contents.get(layout.round_record(job.home, number), b"")
            assert client not in record.decode(), f"{client} is erased, and in round {number}"
            statistics = self._stored_statistics(job, number)
            assert statistics is None or client not in statistics.members, f"{client} is erased, and in statistics"

    def _stored_statistics(self, job: Job, number: int) -> RoundStatistics | None:
        content = self.store.contents.get(layout.statistics(job.home, number))
        return RoundStatistics.from_bytes(content) if content else None

    def _check_lives(self) -> None:
        """A job that has acknowledged something is there until somebody has it deleted."""
        for attempt in self.history.of("put", "replace", "commit"):
            if (self.job and attempt.home == self.job.home) or not isinstance(attempt.answer, Receipt | Round):
                continue
            deletions = self.history.of("delete")
            assert any(each.ended >= attempt.began for each in deletions), "a job is gone, and nobody has deleted it"

    def _check_caches(self) -> None:
        """Once it has looked at the store again, every gateway answers as one that was just started.

        An erasure that broke off leaves some as they were, until it is asked for again.
        """
        if self._is_erasure_broken_off():
            return
        self.history.step += int(100 * CACHED) + 1
        expected = list(_answers(self.gateway))
        if self.job:
            self._check_answers(self.gateway, self.job)
        for gateway in self.gateways:
            self.history.step += 1
            answers = list(_answers(gateway.state))
            assert answers == expected, f"a gateway answers {answers}, where one just started answers {expected}"

    def _is_erasure_broken_off(self) -> bool:
        for client in CLIENTS:
            attempts = list(self.history.of("erase", client=client))
            done = max((each.began for each in attempts if isinstance(each.answer, Erasure)), default=-inf)
            if any(each.ended >= done for each in attempts if not isinstance(each.answer, Erasure | NotFound)):
                return True
        return False

    def _check_answers(self, gateway: State, job: Job) -> None:
        """What a gateway answers is what follows from the records by the definitions."""
        for number in ROUNDS:
            record = gateway.rounds.records.read_record(job, number)
            if record is None or not record.members:
                continue
            metrics = _ask(gateway, "metrics", first=number, last=number)
            seeds = np.array([SEEDS[member.sha256] for member in record.members], float)
            assert metrics["participations"] == len(seeds)
            assert metrics["groups"][0]["values"]["num_examples"]["mean"] == seeds.mean()
            answer = _ask(gateway, "aggregate", round=number)
            assert answer["clients"] == [str(member.client) for member in record.members]
            expected = (seeds / seeds.sum()) @ np.array([values(int(seed)) for seed in seeds])
            key = layout.artifact(job.home, answer["artifact"]["sha256"][:32])
            stored = np.frombuffer(self.store.contents[key][-24:], np.float32)
            np.testing.assert_allclose(stored, expected, rtol=1e-5, atol=1e-6)

    def _check_deletion(self) -> None:
        """Nothing is left of any of the job's lives once it is deleted."""
        if self.job is None:
            self.gateway.jobs.create(JOB)
        self.gateway.jobs.delete(NAME)
        left = [key for key in self.store.contents if key.startswith(layout.job_prefix(NAME))]
        assert left == [layout.job(NAME)], f"the job is deleted, and there is {left}"


def _read_job(gateway: State) -> Job | None:
    try:
        return gateway.rounds.catalog.read_job(NAME)
    except NotFound:
        return None


def _answers(gateway: State) -> Iterator[object]:
    """Return what a gateway says of the job and of each round."""
    job = _read_job(gateway)
    yield job and job.home
    if job is None:
        return
    index = gateway.rounds.catalog.read_index(NAME)
    yield list(index.committed), list(index.open), index.participations
    for number in ROUNDS:
        yield gateway.rounds.records.read_record(job, number)


def _ask(gateway: State, workload: str, **parameters: object) -> Any:
    return gateway.runner.run(NAME, workload, parameters, Options()).result


def broken(schedule: Schedule) -> Iterator[str]:
    """Return what a schedule has broken."""
    try:
        Judge(schedule).check()
    except AssertionError as error:
        yield next(filter(None, str(error).splitlines()), "an assertion without words")
