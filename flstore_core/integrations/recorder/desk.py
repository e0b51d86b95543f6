"""The calls to the store: open a job, store an update, close a round. Each can be repeated until it succeeds."""

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flstore_core.client import FLStore, JobInfo, Receipt
from flstore_core.errors import Conflict, FLStoreError, NotFound
from flstore_core.integrations.recorder.fitting import fitted, weighted
from flstore_core.integrations.recorder.journal import Beginning, Closing, Made, Update
from flstore_core.integrations.recorder.shelf import Held, Model
from flstore_core.records import Round
from flstore_core.schema import Schema

logger = logging.getLogger("flstore.recorder")

RUN = "run"
"""The hyperparameter of each round, and the metric of an initial model, that tells the trainings of a job apart."""
MOST_OF_A_NAME = 1000
"""Trainings that may record under one name, each with a number."""


class ForeignRound(Conflict):
    code, title = "foreign-round", "Another training writes into the same round"


@dataclass(frozen=True)
class Opened:
    """A job that is recorded into."""

    job: str
    offset: int
    """The round of the store that is the training's round 0."""
    created_at: float | None = None
    """When the job was created, which tells it from another of the same name."""


class Desk:
    """Makes the calls for one training. Safe to share between threads.

    Args:
        job: the job's name. If another training has it, `-2`, `-3`, … is added.
        run: tells this training from all others.
        resume: go on with the job of that name, if there is one; its open rounds are begun anew.
        settings: further arguments of `FLStore.create_job`.
    """

    def __init__(self, store: FLStore, job: str, run: str, *, resume: bool, settings: Mapping[str, Any]) -> None:
        self.store = store
        self._job = job
        self._run = run
        self._resume = resume
        self._settings = settings
        self._schema: Schema | None = None
        self._weight_key: str | None = settings.get("weight_key")
        self.opened: Opened | None = None

    def round_of(self, number: int) -> int:
        """Return the store's number of a training's round."""
        return self._require().offset + number

    @property
    def job(self) -> str:
        """The name of the job, as it is in the store."""
        return self._require().job

    def begin(self, step: Beginning) -> None:
        """Open the job, with the initial model as its newest aggregate."""
        existing = self._find() if self._resume else None
        self._schema = Schema.from_json(existing.schema) if existing else step.schema
        self._weight_key = existing.weight_key if existing else self._weight_key
        self.opened = self._continue(existing, step) if existing else self._create(step)

    def go_on(self, opened: Opened) -> None:
        """Go on with a training that opened its job before."""
        self._weight_key = self.store.job(opened.job).weight_key
        self.opened = opened

    def put(self, step: Update) -> Receipt:
        """Store an update or the aggregate, in place of another one that came before in this round."""
        number = self.round_of(step.round)
        with _alone():
            model = self._tensors(step.model)
            if not step.client:
                return self.store.put_aggregate(self.job, number, model, replace=True)
            metrics = weighted(step.metrics, step.weight, self._weight_key)
            return self.store.put_update(self.job, number, step.client, model, metrics=metrics, replace=True)

    def close(
        self, step: Closing, stored: Mapping[str, str], expected: Collection[str] = (), made: Made | None = None
    ) -> None:
        """Commit a round.

        Args:
            stored: the SHA-256 of each client's update.
            expected: clients that store their updates themselves.
            made: the aggregate that clients may have by now. It is made again if the round has none.

        Raises:
            ForeignRound: if the round has updates of another training.
        """
        number = self.round_of(step.round)
        round_ = self._read(number)
        if round_:
            _require_own(self.job, round_, stored, expected)
        with _alone():
            if made and round_ and not round_.committed and made.is_missing_in(round_):
                self._make_again(number, made)
            labels = {**step.hyperparameters, RUN: self._run}
            self.store.commit(self.job, number, metrics=step.metrics, hyperparameters=labels, allow_empty=True)

    def _tensors(self, held: Held) -> Model:
        """Return a model in the dtypes of the job, which an earlier training may have created."""
        return fitted(held.model, self._schema) if self._schema and isinstance(held.model, Mapping) else held.model

    def _require(self) -> Opened:
        if self.opened is None:
            raise NotFound("the job is not open yet")
        return self.opened

    def _find(self) -> JobInfo | None:
        try:
            return self.store.job(self._job)
        except NotFound:
            return None

    def _create(self, step: Beginning) -> Opened:
        """Create the job under the first name that no other training has.

        The first to store its initial model has the name: with the model goes the training's own mark, and another mark
        is a conflict. A training that does this again because an answer was lost finds its own mark.
        """
        for name in (self._job, *(f"{self._job}-{count}" for count in range(2, MOST_OF_A_NAME + 1))):
            try:
                info = self.store.create_job(name, schema=step.schema, **self._settings)
                is_own = info.latest == 0 and self._has_begun(name)
                if (info.committed and not is_own) or set(info.open) - {0}:
                    continue
                if step.model and not is_own:
                    self._commit_model(name, 0, step.model)
            except Conflict:
                continue
            return Opened(name, 0, info.created_at)
        raise Conflict(f"job {self._job!r} exists {MOST_OF_A_NAME} times; choose another name")

    def _has_begun(self, job: str) -> bool:
        """Return whether this training has committed the initial model of a job: the answer may have been lost."""
        return self.store.round(job, 0).hyperparameters.get(RUN) == self._run

    def _continue(self, info: JobInfo, step: Beginning) -> Opened:
        """Go on after the newest committed round; a model that is not its aggregate becomes a round of its own."""
        newest = -1 if info.latest is None else info.latest
        for number in info.open:
            newest = max(newest, self._settle(number))
        if not step.model or self._ends_with(newest, step.model):
            return Opened(self._job, max(newest, 0), info.created_at)
        self._commit_model(self._job, newest + 1, step.model)
        return Opened(self._job, newest + 1, info.created_at)

    def _settle(self, number: int) -> int:
        """Commit an open round that has an aggregate, and return its number; begin any other anew, and return -1."""
        try:
            if self.store.round(self._job, number).aggregate:  # a training closes a round with it
                self.store.commit(self._job, number, hyperparameters={RUN: self._run})
                return number
            self.store.drop_round(self._job, number)
        except Conflict:  # what the ended training had sent last has committed it meanwhile
            if not self.store.round(self._job, number).committed:
                raise
            return number
        return -1

    def _commit_model(self, job: str, number: int, model: Held) -> None:
        self.store.put_aggregate(job, number, self._tensors(model), metrics={RUN: self._run})
        self.store.commit(job, number, hyperparameters={RUN: self._run})

    def _ends_with(self, number: int, held: Held) -> bool:
        """Return whether a round's aggregate is the model that training starts from."""
        aggregate = self.store.round(self._job, number).aggregate if number >= 0 else None
        return aggregate is not None and Held(self._tensors(held), 0).sha256 == aggregate.sha256

    def _read(self, number: int) -> Round | None:
        try:
            return self.store.round(self.job, number)
        except NotFound:  # nobody has sent anything
            return None

    def _make_again(self, number: int, made: Made) -> None:
        """Wait until an aggregate is stored, or have it made once more, if it was lost with its gateway."""
        try:
            answer = self.store.make_aggregate(self.job, number, replace=True, **made.params)
        except FLStoreError as error:
            if is_away(error):
                raise
            logger.warning("round %d ends without the model %s, which was lost: %s", number, made.sha256, error)
            return
        if (sha256 := str(answer.result.artifact.sha256)) != made.sha256:
            logger.warning(
                "round %d ends with the model %s; clients may have evaluated %s, which was lost",
                number,
                sha256,
                made.sha256,
            )


def _require_own(job: str, round_: Round, stored: Mapping[str, str], expected: Collection[str]) -> None:
    foreign = [
        str(member.client)
        for member in round_.members
        if member.client not in expected and stored.get(member.client) != member.sha256
    ]
    if foreign:
        raise ForeignRound(
            f"round {round_.number} of job {job!r} has updates that this training did not send ({', '.join(foreign)})"
            "; another training records into the same job"
        )


@contextmanager
def _alone() -> Iterator[None]:
    """Have a conflict say what it means here: a training repeats itself without one."""
    try:
        yield
    except Conflict as error:
        raise ForeignRound(f"{error}; another training records into the same job") from error


def is_away(error: FLStoreError) -> bool:
    """Return whether the store may take later what it did not take now."""
    return error.retryable or error.code == "store-full"
