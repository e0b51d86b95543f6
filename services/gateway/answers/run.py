"""Runs workloads: reads what they need, asks the shards next to the data, combines the answers."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any, cast

from flstore_core import __version__
from flstore_core.errors import NotFound
from flstore_core.ids import AGGREGATE, JobId, ShardId
from flstore_core.models.protocol import RunRequest
from flstore_core.records import Job, Round
from flstore_core.shard.protocol import MapRequest, MemberRef, Work
from flstore_core.workloads import (
    Context,
    ModelWorkload,
    Needs,
    Partial,
    ReadsArtifacts,
    RoundData,
    SliceMember,
    WeightsWorkload,
    pattern_of,
    registry,
    wants_statistics,
)
from flstore_core.workloads.describe import dump, validate
from services.gateway.answers import artifacts
from services.gateway.answers.execution import Asked, Execution, NotModified, Outcome, Results, Stages
from services.gateway.answers.pricing import Pricing, reads_of
from services.gateway.backends.slices import Backends, HeldSlice
from services.gateway.programs import Models
from services.gateway.rounds.index import JobIndex
from services.gateway.rounds.opening import Rounds
from services.gateway.rounds.statistics import Statistics


class Runner:
    """Runs workloads. Safe to share between threads.

    Args:
        clock: seconds, never going back.
    """

    def __init__(
        self,
        rounds: Rounds,
        statistics: Statistics,
        backends: Backends,
        models: Models,
        clock: Callable[[], float],
    ) -> None:
        self._store = rounds.store
        self._catalog = rounds.catalog
        self._records = rounds.records
        self._openings = rounds.openings
        self._statistics = statistics
        self._backends = backends
        self._placement = backends.placement
        self._models = models
        self._clock = clock
        self._pricing = Pricing(backends.placement)
        self._results = Results()

    def run(self, job_name: JobId, name: str, data: Mapping[str, Any], asked: Asked) -> Outcome:
        """Run the workload `name` over a job's rounds.

        Raises:
            NotFound: for an unknown job, workload, round or client.
            InvalidParameters: naming each field of `data` that does not fit.
            NotEnoughData: if the question cannot be answered from what is stored.
            NotModified: if the answer is the one that `asked.known` stands for.
        """
        workload = registry.get(name)
        params = validate(workload, data)
        if hasattr(workload, "with_artifact"):
            params = cast("ReadsArtifacts", workload).with_artifact(
                params, partial(artifacts.metadata, self._store, job_name)
            )
        stages = Stages(self._clock)
        with stages("select"):
            numbers, index = self._select(job_name, workload, params)
        with stages("records"):
            rounds, work = self._read(index, numbers, workload, params)
        request = self._model_request(index.job, workload, params, rounds)
        etag = _etag(index.job, workload, params, rounds, request)
        if etag and etag == asked.known:
            raise NotModified(etag)
        if etag and not asked.anew and (earlier := self._results.get(etag)):
            again = Execution(seconds=stages.seconds, work=work, cached=True)
            return replace(earlier, execution=self._pricing.repriced(again, earlier.execution.cost))
        context = Context(index.job, rounds, artifacts.writer(self._store, index.job, None), progress=asked.progress)
        partials: Sequence[Partial] = ()
        used: tuple[ShardId, ...] = ()
        if request:
            with stages("model"):
                answer, ran = self._models.run(request, asked.progress)
                context = replace(context, models=tuple(ref.name for ref in request.models))
                partials, used, work = [answer], tuple(self._placement.rank_predictors(index.job.id))[:1], work + ran
        if workload.needs is Needs.WEIGHTS:
            with stages("map"):
                weights = cast("WeightsWorkload[Any, Any]", workload)
                context, partials, used, mapped = self._map(weights, params, context)
                work += mapped
        with stages("combine"):
            result = dump(workload.combine(partials, context, params))
        pool = "predictors" if request else "shards"
        execution = Execution(used, len(partials), work, stages.seconds, pool)
        execution = self._pricing.priced(execution, reads_of(workload.needs, context))
        outcome = Outcome(job_name, name, pattern_of(workload, params), tuple(numbers), result, execution, etag)
        self._results.offer(outcome)
        return outcome

    def _model_request(
        self, job: Job, workload: registry.AnyWorkload, params: Any, rounds: Sequence[RoundData]
    ) -> RunRequest | None:
        if workload.needs is not Needs.MODEL:
            return None
        return self._models.request(job, cast("ModelWorkload[Any, Any]", workload), params, rounds)

    def _select(self, job: JobId, workload: registry.AnyWorkload, params: Any) -> tuple[Sequence[int], JobIndex]:
        """Return the rounds to read; what another gateway has just stored is looked for before it is called missing."""
        index = self._catalog.read_index(job)
        try:
            return workload.select(params, index), index
        except NotFound:
            index = self._catalog.refresh(job)
            return workload.select(params, index), index

    def _read(
        self, index: JobIndex, numbers: Sequence[int], workload: registry.AnyWorkload, params: Any
    ) -> tuple[tuple[RoundData, ...], Work]:
        job, wanted = index.job, wants_statistics(workload, params)
        open_ = [number for number in numbers if number in index.open]
        closed = [number for number in numbers if number not in index.open]
        found, work = self._records.read_committed(job.id, closed, workload.name, workload.pattern, statistics=wanted)
        data = []
        for record, statistics in found:
            if wanted:
                statistics, asked = self._statistics.repair(job, record, statistics)
                work += asked
            data.append(RoundData(record, statistics))
        for number in open_:
            record = self._openings.read_open(job.id, number)
            statistics, asked = self._statistics.compute(job, record) if wanted else (None, Work())
            data.append(RoundData(record, statistics))
            work += asked
        return tuple(sorted(data, key=lambda round_: round_.record.number)), work

    def _map(
        self, workload: WeightsWorkload[Any, Any], params: Any, context: Context
    ) -> tuple[Context, list[Partial], tuple[ShardId, ...], Work]:
        """Have every slice's shard run `map`."""
        job = context.job
        members = tuple(workload.members(context.rounds, params))
        if not members:
            return context, [], (), Work()
        records = {round_.record.number: round_.record for round_ in context.rounds}
        refs = tuple(self._ref(job, records, member) for member in members)
        newest = context.rounds[-1].record
        base = self._records.locate_base(job.id, newest) if workload.reads_base else None
        weights = tuple(member.weights for member in members)
        assignment = self._placement.find_or_place(job.id)

        def ask(held: HeldSlice) -> tuple[Partial, Work]:
            request = MapRequest(
                held.part, workload.name, pattern_of(workload, params), asdict(params), refs, base, weights
            )
            return self._backends.shards.map(held.urls, request)

        answers = self._backends.ask_slices(job, ask)
        donor = max(refs, key=lambda ref: ref.num_examples, default=None)
        context = replace(context, members=members, write_model=artifacts.writer(self._store, job, donor))
        used = tuple(dict.fromkeys(holders[0] for holders in assignment.owners))
        return context, [found for found, _ in answers], used, sum((work for _, work in answers), Work())

    def _ref(self, job: Job, records: dict[int, Round], member: SliceMember) -> MemberRef:
        """Return where a model lies that a workload wants to read."""
        record = records.get(member.round) or self._records.read_record(job.id, member.round)
        if record is None or member.client == AGGREGATE:
            return self._records.locate_aggregate(job.id, member.round)
        return replace(MemberRef.of(member.round, record.by_client[member.client]), num_examples=member.num_examples)


def _etag(
    job: Job, workload: registry.AnyWorkload, params: Any, rounds: Sequence[RoundData], request: RunRequest | None
) -> str | None:
    """Return a hash of what the answer follows from; None if an open round is among it."""
    if not all(round_.record.committed for round_ in rounds):
        return None
    asked = [__version__, job.id, job.created_at, job.schema.digest, workload.name, asdict(params)]
    inputs: list[Any] = [round_.record.digest for round_ in rounds]
    if request:
        inputs += [request.program, request.datasets, [ref.sha256 for ref in request.models]]
    return hashlib.sha256(json.dumps([asked, inputs], sort_keys=True).encode()).hexdigest()
