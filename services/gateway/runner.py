"""Runs workloads: reads what they need, asks the shards next to the data, combines the answers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from flstore_core.errors import NotFound
from flstore_core.ids import AGGREGATE, JobId, ShardId
from flstore_core.patterns import Pattern
from flstore_core.records import Job, Round
from flstore_core.shard.messages import MapRequest, MemberRef, SliceRef, Work
from flstore_core.storage import ObjectStore
from flstore_core.workloads import registry
from flstore_core.workloads.base import (
    Context,
    Needs,
    Partial,
    RoundData,
    SliceMember,
    WeightsWorkload,
)
from flstore_core.workloads.describe import dump, validate
from services.gateway import artifacts
from services.gateway.catalog import Catalog, Index
from services.gateway.commit import Commit
from services.gateway.placement import Placement
from services.gateway.rounds import Rounds
from services.gateway.shards import Shards


@dataclass
class Stages:
    """Seconds by stage, in the order in which they were run."""

    clock: Callable[[], float]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time one stage."""
        started = self.clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - started


@dataclass(frozen=True)
class Execution:
    """Where a workload ran and what it took."""

    shards: tuple[ShardId, ...] = ()
    """The shards that mapped; empty where the gateway answered by itself."""
    slices: int = 0
    work: Work = field(default_factory=Work)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        stages = {name: round(1e3 * seconds, 3) for name, seconds in self.seconds.items()}
        return {
            "where": "shards" if self.shards else "gateway",
            "shards": list(self.shards),
            "slices": self.slices,
            "hits": self.work.hits,
            "misses": self.work.misses,
            "bytes_touched": self.work.bytes_touched,
            "bytes_fetched": self.work.bytes_fetched,
            "shard_fetch_ms": round(1e3 * self.work.fetch_s, 3),
            "shard_compute_ms": round(1e3 * self.work.compute_s, 3),
            "stages_ms": stages,
            "total_ms": round(sum(stages.values()), 3),
        }


@dataclass(frozen=True)
class Outcome:
    """A workload's answer."""

    job: JobId
    workload: str
    pattern: Pattern
    rounds: tuple[int, ...]
    result: Any
    """JSON values."""
    execution: Execution

    def to_json(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "workload": self.workload,
            "pattern": self.pattern.value,
            "rounds": list(self.rounds),
            "result": self.result,
            "execution": self.execution.to_json(),
        }


class Runner:
    """Runs workloads. Safe to share between threads.

    Args:
        callers: runs the calls of several shards side by side.
        clock: seconds, never going back.
    """

    def __init__(
        self,
        store: ObjectStore,
        catalog: Catalog,
        rounds: Rounds,
        commit: Commit,
        placement: Placement,
        shards: Shards,
        callers: Executor,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._rounds = rounds
        self._commit = commit
        self._placement = placement
        self._shards = shards
        self._callers = callers
        self._clock = clock

    def run(self, job_name: JobId, name: str, data: Mapping[str, Any]) -> Outcome:
        """Run the workload `name` over a job's rounds.

        Raises:
            NotFound: for an unknown job, workload, round or client.
            InvalidParameters: naming each field of `data` that does not fit.
            NotEnoughData: if the question cannot be answered from what is stored.
        """
        workload = registry.get(name)
        params = validate(workload, data)
        stages = Stages(self._clock)
        with stages("select"):
            numbers, index = self._select(job_name, workload, params)
        with stages("records"):
            rounds, work = self._read(index, numbers, workload)
        context = Context(index.job, rounds, artifacts.writer(self._store, index.job, None))
        partials: Sequence[Partial] = ()
        used: tuple[ShardId, ...] = ()
        if workload.needs is Needs.WEIGHTS:
            with stages("map"):
                weights = cast("WeightsWorkload[Any, Any]", workload)
                context, partials, used, mapped = self._map(weights, params, context)
                work += mapped
        with stages("combine"):
            result = dump(workload.combine(partials, context, params))
        execution = Execution(used, len(partials), work, stages.seconds)
        return Outcome(job_name, name, workload.pattern, tuple(numbers), result, execution)

    def _select(self, job: JobId, workload: registry.AnyWorkload, params: Any) -> tuple[Sequence[int], Index]:
        """Return the rounds to read; what another gateway has just stored is looked for before it is called missing."""
        index = self._catalog.index(job)
        try:
            return workload.select(params, index), index
        except NotFound:
            index = self._catalog.refresh(job)
            return workload.select(params, index), index

    def _read(
        self, index: Index, numbers: Sequence[int], workload: registry.AnyWorkload
    ) -> tuple[tuple[RoundData, ...], Work]:
        job, wanted = index.job, workload.needs is Needs.STATISTICS
        open_ = [number for number in numbers if number in index.open]
        closed = [number for number in numbers if number not in index.open]
        found, work = self._rounds.read(job.id, closed, workload.name, workload.pattern, statistics=wanted)
        data = [RoundData(record, statistics) for record, statistics in found]
        for number in open_:
            record = self._rounds.current(job, number)
            statistics, asked = self._commit.statistics(job, record) if wanted else (None, Work())
            data.append(RoundData(record, statistics))
            work += asked
        return tuple(sorted(data, key=lambda round_: round_.record.number)), work

    def _map(
        self, workload: WeightsWorkload[Any, Any], params: Any, context: Context
    ) -> tuple[Context, list[Partial], tuple[ShardId, ...], Work]:
        """Have every slice's shard run `map`."""
        job = context.job
        members = tuple(workload.members(context.rounds, params))
        records = {round_.record.number: round_.record for round_ in context.rounds}
        refs = tuple(self._ref(job, records, member) for member in members)
        newest = context.rounds[-1].record
        base = self._rounds.base_of(job.id, newest) if workload.reads_base else None
        assignment = self._placement.of(job.id)

        def ask(index: int) -> tuple[Partial, Work]:
            part = SliceRef(job.id, job.schema.digest, assignment.slices, index)
            request = MapRequest(part, workload.name, workload.pattern, asdict(params), refs, base)
            return self._shards.map(self._placement.addresses(assignment, index), request)

        answers = list(self._callers.map(ask, range(assignment.slices)))
        donor = max(refs, key=lambda ref: ref.num_examples, default=None)
        context = replace(context, members=members, write_model=artifacts.writer(self._store, job, donor))
        used = tuple(dict.fromkeys(holders[0] for holders in assignment.owners))
        return context, [partial for partial, _ in answers], used, sum((work for _, work in answers), Work())

    def _ref(self, job: Job, records: dict[int, Round], member: SliceMember) -> MemberRef:
        """Return where a model lies that a workload wants to read."""
        record = records.get(member.round) or self._rounds.record(job.id, member.round)
        if record is None or member.client == AGGREGATE:
            return self._rounds.aggregate_of(job.id, member.round)
        return replace(MemberRef.of(member.round, record.by_client[member.client]), num_examples=member.num_examples)
