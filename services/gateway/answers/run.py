"""Runs workloads: reads the rounds, has backends work next to the data, and combines their answers."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, cast

from flstore_core.errors import NotFound
from flstore_core.ids import JobId
from flstore_core.records import Job
from flstore_core.shard.protocol import Work
from flstore_core.workloads import Context, Needs, ReadsArtifacts, RoundData, registry, wants_statistics
from flstore_core.workloads.describe import answer, validate
from flstore_core.workloads.registry import AnyWorkload
from services.common.timing import Time
from services.gateway.answers import artifacts
from services.gateway.answers.execution import SHARDS, Execution, Outcome, Stages
from services.gateway.answers.gathering import Gathered, ModelRuns, SliceMaps
from services.gateway.answers.limits import Limits
from services.gateway.answers.pricing import Pricing, aggregator_reads
from services.gateway.answers.question import NotModified, Options, Question
from services.gateway.answers.results import Results
from services.gateway.backends.slices import Backends
from services.gateway.programs import Programs
from services.gateway.rounds.index import ErasedMeanwhile, JobIndex
from services.gateway.rounds.opening import Rounds
from services.gateway.rounds.statistics import Statistics

ATTEMPTS = 3
"""How often a question is answered that writes a model while clients are erased."""


@dataclass(frozen=True)
class Read:
    """What the rounds of a question are, and what it took to read them."""

    rounds: tuple[RoundData, ...]
    """Ascending."""
    work: Work
    computed: int = 0
    """Rounds whose statistics shards had to compute, because they are open or do not match their stored ones."""


class Runner:
    """Runs workloads. Safe to share between threads.

    Attributes:
        results: answers that are kept.
    """

    def __init__(
        self,
        rounds: Rounds,
        statistics: Statistics,
        programs: Programs,
        backends: Backends,
        time: Time,
        limits: Limits,
        results: Results,
    ) -> None:
        self._store = rounds.store
        self._catalog = rounds.catalog
        self._records = rounds.records
        self._bases = rounds.bases
        self._openings = rounds.openings
        self._statistics = statistics
        self._clock = time.monotonic
        self._slice_maps = SliceMaps(rounds, backends)
        self._model_runs = ModelRuns(rounds, programs, backends)
        self._pricing = Pricing(backends.placement)
        self.results = results
        self._limits = limits
        self._backends = backends

    def run(self, job: JobId, name: str, data: Mapping[str, Any], options: Options) -> Outcome:
        """Run the workload `name` over a job's rounds.

        Args:
            data: the workload's parameters as JSON values.

        Raises:
            NotFound: for an unknown job, workload, round or client.
            TooExpensive: if the question would take more memory or time than one may.
            InvalidParameters: naming each field of `data` that does not fit.
            NotEnoughData: if the question cannot be answered from what is stored.
            NotModified: if the caller has the answer, by `options.known_etag`.
            ErasedMeanwhile: if clients were erased all the time while the question was answered.
        """
        for _ in range(ATTEMPTS - 1):
            with suppress(ErasedMeanwhile):
                return self._run(job, name, data, options)
        return self._run(job, name, data, options)

    def _run(self, job: JobId, name: str, data: Mapping[str, Any], options: Options) -> Outcome:
        workload = registry.get(name)
        params = self._read_params(job, workload, data)
        stages = Stages(self._clock)
        with stages("select"):
            numbers, index = self._select(job, workload, params)
        with stages("records"):
            read = self._read(index, numbers, workload, params)
        self._limits.check(workload, params, read.rounds, index.job.schema.parameters)
        question = self._model_runs.prepare(Question(index.job, workload, params, read.rounds, index.erasures))
        if kept := self._recall(question, options):
            again = Execution(seconds=stages.seconds, work=read.work, cached=True)
            return replace(kept, execution=self._pricing.price_again(again, kept.execution.cost))
        return self._answer(question, options, stages, read)

    def delete_artifact(self, job: JobId, name: str) -> None:
        """Delete a model that a workload wrote, and the answers kept here that may link to it.

        Another gateway may answer with the link for as long as it keeps the answer, unless it is asked with `no-cache`.

        Raises:
            NotFound: if there is no such model.
        """
        record = self._catalog.read_job(job)
        artifacts.delete(self._store, record, name)
        self.results.forget(record.home)

    def _answer(self, question: Question, options: Options, stages: Stages, read: Read) -> Outcome:
        """Compute an answer to a question about the rounds that were read."""
        workload, params = question.workload, question.params
        gathered = self._gather(question, stages, options)
        with stages("combine"):
            result = answer(workload, gathered.partials, gathered.context, params)
        execution = self._execution(question.job, read, gathered, stages)
        execution = self._pricing.price(execution, aggregator_reads(workload.needs, gathered.context))
        numbers = tuple(round_.record.number for round_ in question.rounds)
        outcome = Outcome(question.job.id, workload.name, question.pattern, numbers, result, execution, question.etag)
        if options.keep is None:  # else it links to where the caller means to put the model, and others ask for theirs
            self.results.offer(outcome, question.job.home)
        return outcome

    def _execution(self, job: Job, read: Read, gathered: Gathered, stages: Stages) -> Execution:
        """Return where an answer was computed: shards count too where they were asked for statistics alone."""
        work, slices, backends = read.work + gathered.work, len(gathered.partials), gathered.backends
        if read.computed and gathered.pool == SHARDS:
            slices += read.computed * self._backends.count_slices(job)
            backends = backends or self._backends.owners(job)
        return Execution(backends, slices, work, stages.seconds, gathered.pool)

    def _read_params(self, job: JobId, workload: AnyWorkload, data: Mapping[str, Any]) -> Any:
        params = validate(workload, data)
        if _may_name_artifact(type(workload)):
            reader = cast("ReadsArtifacts", workload)
            record = self._catalog.read_job(job)
            params = reader.with_artifact(params, partial(artifacts.read_metadata, self._store, record))
        return params

    def _select(self, job: JobId, workload: AnyWorkload, params: Any) -> tuple[Sequence[int], JobIndex]:
        """Return the numbers of the rounds to read, and the index that they were chosen from."""
        index = self._catalog.read_index(job)
        try:
            return workload.select(params, index), index
        except NotFound:
            # Another gateway may have stored what is missing since the index was read.
            index = self._catalog.refresh(job)
            return workload.select(params, index), index

    def _read(self, index: JobIndex, numbers: Sequence[int], workload: AnyWorkload, params: Any) -> Read:
        """Return the rounds that a workload reads, with their statistics if it wants them."""
        read = self._read_with_statistics if wants_statistics(workload, params) else self._read_metadata
        committed = [number for number in numbers if number not in index.open]
        open_ = [number for number in numbers if number in index.open]
        return read(index, workload, committed, open_)

    def _read_metadata(
        self, index: JobIndex, workload: AnyWorkload, committed: Sequence[int], open_: Sequence[int]
    ) -> Read:
        job = index.job
        pairs, work = self._records.read_committed(job, committed, workload.name, workload.pattern, statistics=False)
        records = [self._bases.settle(index, record) for record, _ in pairs]
        records += [self._openings.read_open(job, number) for number in open_]
        return Read(_ascending(RoundData(record, None, job.updates_of(record.updates)) for record in records), work)

    def _read_with_statistics(
        self, index: JobIndex, workload: AnyWorkload, committed: Sequence[int], open_: Sequence[int]
    ) -> Read:
        self._limits.check_statistics(index, committed)
        job, rounds, computed = index.job, [], 0
        pairs, work = self._records.read_committed(job, committed, workload.name, workload.pattern, statistics=True)
        for record, stored in pairs:
            fitting = self._statistics.repair(job, self._bases.settle(index, record), stored)
            rounds.append(RoundData(fitting.record, fitting.statistics, job.updates_of(fitting.record.updates)))
            work += fitting.work
            computed += fitting.computed
        for number in open_:
            record = self._openings.read_open(job, number)
            statistics, computation = self._statistics.compute(job, record)
            rounds.append(RoundData(record, statistics, job.updates_of(record.updates)))
            work += computation
            computed += statistics is not None
        return Read(_ascending(rounds), work, computed)

    def _recall(self, question: Question, options: Options) -> Outcome | None:
        """Return the answer if it was kept, else None; raise `NotModified` if the caller has it."""
        if question.etag is None:
            return None
        if question.etag == options.known_etag:
            raise NotModified(question.etag)
        return None if options.recompute else self.results.get(question.etag)

    def _gather(self, question: Question, stages: Stages, options: Options) -> Gathered:
        """Return what `combine` works with. A workload over metadata or statistics needs only the rounds."""
        write_model = artifacts.refuse
        if options.may_write:
            watch = partial(self._catalog.require_no_erasure_since, question.job, question.erasures)
            write_model = artifacts.writer(self._store, question.job, None, watch=watch)
        context = Context(question.job, question.rounds, write_model, progress=options.progress)
        if question.run:
            with stages("model"):
                return self._model_runs.gather(question.run, context)
        if question.workload.needs is Needs.WEIGHTS:
            with stages("map"):
                keep = partial(options.keep, question.rounds) if options.keep else None
                return self._slice_maps.gather(question, context, keep)
        return Gathered(context)


def _ascending(rounds: Iterable[RoundData]) -> tuple[RoundData, ...]:
    return tuple(sorted(rounds, key=lambda round_: round_.record.number))


@cache
def _may_name_artifact(kind: type[object]) -> bool:
    """Return whether workloads of a class read artifacts. To find that out takes as long as a short `combine`."""
    return issubclass(kind, ReadsArtifacts)
