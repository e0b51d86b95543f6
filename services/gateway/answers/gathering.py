"""Gathers what a question needs from backends: partials of all slices from shards, or one partial from a predictor.

A workload over weights is divided: the shard of each slice runs `map` over its part of the parameter vector. With two
slices, on shards A and B, the partials are [A's, B's] in the order of the slices, whichever shard answers first. If A
cannot hold its slice of all models at once, it answers window by window, and they are [A's first, A's second, …, B's].
A workload over whole models runs in the predictor that the job prefers, and has one partial.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, cast

from flstore_core import layout
from flstore_core.errors import FLStoreError, NoPredictor, NotEnoughData, NotFound
from flstore_core.ids import AGGREGATE, ShardId
from flstore_core.model_names import ModelName
from flstore_core.models.protocol import ModelRef, RunRequest
from flstore_core.records import Job, Member, Round, Updates
from flstore_core.shard.protocol import MapRequest, MemberRef, SliceRef, Work
from flstore_core.workloads import Context, ModelWorkload, Needs, Partial, Progress, SliceMember, WeightsWorkload
from services.gateway.answers import artifacts
from services.gateway.answers.execution import PREDICTORS, SHARDS
from services.gateway.answers.question import Question
from services.gateway.backends.slices import Backends, HeldSlice
from services.gateway.programs import Programs
from services.gateway.rounds.opening import Rounds


@dataclass(frozen=True, slots=True)
class Gathered:
    """What `combine` works with, and the work that gathering it took."""

    context: Context
    partials: Sequence[Partial] = ()
    work: Work = field(default_factory=Work)
    backends: tuple[ShardId, ...] = ()
    """The backends that worked."""
    pool: str = SHARDS


class SliceMaps:
    """Has the shards of every slice run a workload's `map`. Safe to share between threads."""

    def __init__(self, rounds: Rounds, backends: Backends) -> None:
        self._store = rounds.store
        self._catalog = rounds.catalog
        self._records = rounds.records
        self._openings = rounds.openings
        self._backends = backends

    def gather(self, question: Question, context: Context, keep: artifacts.Keep | None = None) -> Gathered:
        """Return the partials of all slices; none if the workload asks for no model.

        Args:
            keep: takes a model that the workload makes, in place of an artifact.

        Raises:
            NotFound: for a model that is not stored.
            NotEnoughData: for a difference from a model that is not stored.
            InsufficientCapacity, Unavailable: if slices have no place, or their shards do not answer.
        """
        job = question.job
        members = tuple(_weights(question).members(question.rounds, question.params))
        if not members:
            return Gathered(context)
        refs, bases = self._locate_all(question, members)
        request = self._request(question, members, refs, bases)
        failures: list[FLStoreError] = []
        answers = self._backends.ask_slices(job, partial(self._map, job, request, context.progress, failures))
        # What is no float, such as a counter, is not part of the slices. An artifact takes it from one of the models.
        donor = max(refs, key=lambda ref: ref.num_examples)
        context = replace(context, members=members)
        if context.write_model is not artifacts.refuse:
            added = bases[donor.round] if donor.is_delta else None
            watch = partial(self._catalog.require_no_erasure_since, job, question.erasures)
            context = replace(context, write_model=artifacts.writer(self._store, job, donor, added, watch, keep))
        work = sum((work for _, work in answers), Work())
        partials = [each for slice_partials, _ in answers for each in slice_partials]
        return Gathered(context, partials, work, self._backends.owners(job))

    def _map(
        self,
        job: Job,
        request: Callable[[SliceRef], MapRequest],
        progress: Progress,
        failures: list[FLStoreError],
        held: HeldSlice,
    ) -> tuple[list[Partial], Work]:
        """Return the partials of one slice: one, or several if its shard cannot hold all models at once.

        Args:
            failures: of all slices of the question. After the first, no slice is asked for a further window.
        """
        start, stop = held.part.bounds(job.schema)

        def reached(element: int) -> None:
            if failures:
                raise failures[0]
            progress(element - start, stop - start)

        try:
            return self._backends.shards.map(held.urls, replace(request(held.part), start=start), stop, reached)
        except FLStoreError as error:
            failures.append(error)
            raise

    def _request(
        self,
        question: Question,
        members: Sequence[SliceMember],
        refs: tuple[MemberRef, ...],
        bases: Mapping[int, MemberRef],
    ) -> Callable[[SliceRef], MapRequest]:
        """Return a function that takes a slice and returns the request to its shards."""
        newest = question.rounds[-1].record
        return partial(
            MapRequest,
            workload=question.workload.name,
            pattern=question.pattern,
            params=question.params.stated(),
            members=refs,
            base=self._records.locate_base(question.job, newest) if _weights(question).reads_base else None,
            weights=tuple(member.weights for member in members),
            bases=bases,
        )

    def _locate_all(
        self, question: Question, members: Sequence[SliceMember]
    ) -> tuple[tuple[MemberRef, ...], Mapping[int, MemberRef]]:
        """Return a reference to each model and, by round, the bases of those that are differences."""
        job = question.job
        records = {round_.record.number: round_.record for round_ in question.rounds}
        read = partial(self._read_record, job, records)
        refs = tuple(self._locate(job, read, member) for member in members)
        rounds = sorted({ref.round for ref in refs if ref.is_delta})
        return refs, {number: self._records.require_base(job, read(number)) for number in rounds}

    def _locate(self, job: Job, read: Callable[[int], Round], member: SliceMember) -> MemberRef:
        if member.client == AGGREGATE:
            return self._records.locate_aggregate(job, member.round)
        record = read(member.round)
        stored = record.by_client[member.client]
        ref = MemberRef.of(member.round, stored, job.is_delta(member.client, record.updates))
        return replace(ref, num_examples=member.num_examples)

    def _read_record(self, job: Job, records: Mapping[int, Round], number: int) -> Round:
        """Return the record of a round, which is mostly among those that were read for the question."""
        return records.get(number) or self._openings.read_round(job, number)


class ModelRuns:
    """Has a predictor run whole models. Safe to share between threads."""

    def __init__(self, rounds: Rounds, programs: Programs, backends: Backends) -> None:
        self._store = rounds.store
        self._records = rounds.records
        self._openings = rounds.openings
        self._programs = programs
        self._backends = backends

    def prepare(self, question: Question) -> Question:
        """Return the question with its request to a predictor, or the question itself if its workload runs no models.

        Raises:
            NoPredictor: if this deployment has none.
            NotFound: for a job without a program, or an unknown data set or model.
            NotEnoughData: if the workload asks for no model, or for a difference from one that is not stored.
        """
        if question.workload.needs is not Needs.MODEL:
            return question
        return replace(question, run=self._request(question))

    def _request(self, question: Question) -> RunRequest:
        workload = cast("ModelWorkload[Any, Any]", question.workload)
        job, params = question.job, question.params
        if not self._backends.placement.table.predictors:
            raise NoPredictor(
                f"workload {workload.name!r} runs models, and this deployment has no predictor; "
                "pip install 'flstore-server[torch]', or set FLSTORE_PREDICTORS to 1 or more"
            )
        datasets = {name: self._programs.read_dataset(job, name).sha256 for name in workload.datasets(params)}
        names = dict.fromkeys(workload.models(question.rounds, params))
        if not names:
            raise NotEnoughData("the question names no model to run")
        records = {round_.record.number: round_.record for round_ in question.rounds}
        bases = self._locate_bases(job, records, names)
        return RunRequest(
            job=job.id,
            digest=job.schema.digest,
            program=self._programs.read_program(job).sha256,
            datasets=datasets,
            workload=workload.name,
            pattern=workload.pattern,
            params=asdict(params),
            models=tuple(self._locate(job, records.get(name.round), bases, name) for name in names),
            generation=job.generation,
        )

    def gather(self, request: RunRequest, context: Context) -> Gathered:
        """Return the partial of the predictor that the job prefers, or of the next one that answers."""
        urls = self._backends.placement.rank_predictors(request.job)
        result, work = self._backends.predictors.run([*urls.values()], request, context.progress)
        context = replace(context, models=tuple(ref.name for ref in request.models))
        return Gathered(context, [result], work, tuple(urls)[:1], PREDICTORS)

    def _locate(self, job: Job, record: Round | None, bases: Mapping[int, ModelRef], name: ModelName) -> ModelRef:
        """Return a reference to a model; raise `NotFound` if it is not stored."""
        if name.artifact:
            self._store.stat(layout.artifact(job.home, name.artifact))
            return ModelRef(name, name.artifact)
        member = _member(record, name) if record else None
        member = member or self._records.read_member(job, name.round, name.client)
        if member is None:
            raise NotFound(f"job {job.id!r} stores no model {str(name)!r}")
        return ModelRef.of(name, member, bases.get(name.round) if name.client != AGGREGATE else None)

    def _locate_bases(
        self, job: Job, records: Mapping[int, Round], names: Iterable[ModelName]
    ) -> Mapping[int, ModelRef]:
        """Return, by round, a reference to the model that updates are differences from."""
        bases = {}
        for number in sorted({name.round for name in names if not name.artifact and name.client != AGGREGATE}):
            if job.updates_stated and job.updates is Updates.WEIGHTS:
                continue
            record = records.get(number) or self._openings.read_round(job, number)
            if job.updates_of(record.updates) is Updates.WEIGHTS:
                continue
            base = self._records.require_base(job, record)
            name, examples = ModelName(base.round), base.num_examples
            bases[number] = ModelRef(name, base.sha256, base.data_offset, examples, upload=base.upload)
        return bases


def _weights(question: Question) -> WeightsWorkload[Any, Any]:
    return cast("WeightsWorkload[Any, Any]", question.workload)


def _member(record: Round, name: ModelName) -> Member | None:
    return record.aggregate if name.client == AGGREGATE else record.by_client.get(name.client)
