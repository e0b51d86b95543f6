"""The recorder: what a framework's adapter calls while a training runs."""

import atexit
import functools
import logging
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar

from flstore_core.client import Arrays, FLStore
from flstore_core.client.tensors import schema_of
from flstore_core.errors import FLStoreError, Unavailable
from flstore_core.ids import encode, job_id
from flstore_core.integrations.recorder.advice import ADVICE, Advice, Adviser, Mode, Opinion, ask, combine, names
from flstore_core.integrations.recorder.clerk import Clerk, Ledger
from flstore_core.integrations.recorder.desk import Desk
from flstore_core.integrations.recorder.direct import Direct
from flstore_core.integrations.recorder.fitting import fitted, plain_metrics
from flstore_core.integrations.recorder.follower import Follower, Tracker
from flstore_core.integrations.recorder.journal import Beginning, Closing, Journal, Step, Update
from flstore_core.integrations.recorder.leftovers import Training, leave, take_up
from flstore_core.integrations.recorder.limits import Limits
from flstore_core.integrations.recorder.patience import Patience
from flstore_core.integrations.recorder.report import Report, described
from flstore_core.integrations.recorder.shelf import Held, Shelf
from flstore_core.schema import Schema

logger = logging.getLogger("flstore.recorder")

P = ParamSpec("P")
T = TypeVar("T")


def _quietly(
    otherwise: Callable[["Recorder"], T],
) -> Callable[[Callable[Concatenate["Recorder", P], T]], Callable[Concatenate["Recorder", P], T]]:
    """Have a method that fails say so, and return something else: a training must not end because of its recording."""

    def decorate(method: Callable[Concatenate["Recorder", P], T]) -> Callable[Concatenate["Recorder", P], T]:
        @functools.wraps(method)
        def quiet(self: "Recorder", /, *args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:  # of any library: models and metrics come from outside
                if self.required:
                    raise
                self.miss(method.__name__, error)
                return otherwise(self)

        return quiet

    return decorate


def _nobody(_: "Recorder") -> list[str] | None:
    return None


class Recorder:
    """Records one training. Safe to call from any thread; none of its methods raises, unless `required`.

    Args:
        job: the job's name. If another training has it already, a number is added, unless `resume`.
        resume: go on with the job of that name, if it exists: rounds are numbered on, an open one is begun anew.
        advice: what is done with advice before a round is aggregated; None to ask for none.
        advisers: workloads, or functions, that are asked.
        required: raise `Unavailable` if a round could not be recorded within the deadline, so that the training stops.
        tracker: is told of each round that is committed, in a thread of its own, such as
            `flstore_core.integrations.mlflow.MLflow`.
        limits: time, memory and disk that recording may take.
        settings: further arguments of `FLStore.create_job`, such as `updates="delta"`.
    """

    def __init__(
        self,
        store: FLStore,
        job: str,
        *,
        resume: bool = False,
        advice: Mode | Literal["exclude", "weigh", "observe"] | None = Mode.OBSERVE,
        advisers: Sequence[Adviser] = ("malicious-filter",),
        required: bool = False,
        tracker: Tracker | None = None,
        limits: Limits | None = None,
        **settings: Any,
    ) -> None:
        self.required = required
        self.report = Report()
        self._mode = None if advice is None else Mode(advice)
        self._advisers = tuple(advisers)
        self._limits = limits or Limits()
        self._changed = threading.Condition()
        self._journal = Journal()
        self._shelf = Shelf(self._limits)
        self._training = Training(job_id(encode(job, "job")), secrets.token_hex(8), resume, settings)
        self._desk = Desk(store, self._training.job, self._training.run, resume=resume, settings=settings)
        ledger = Ledger(self._journal, self._shelf, self.report, self._changed)
        self._clerk = Clerk(ledger, self._desk, self._limits.uploads, prepare=self._take_up)
        self._follower = Follower(tracker, store, ledger) if tracker else None
        self.direct = Direct(ledger, self._desk)
        """What a training does in the store itself, where its models do not pass through this process."""
        self._schema: Schema | None = None
        self._patience: dict[int, Patience] = {}
        self._advice: dict[int, Advice] = {}
        self._finished = False
        self._close: Callable[[], None] = lambda: None

    @_quietly(lambda self: None)
    def begin(self, model: Arrays | None, *, like: Arrays | None = None) -> None:
        """Open the job, with the model that training starts from.

        Args:
            model: arrays by name; None if it is not known, and then `like` shows what updates look like.
        """
        with self._changed:
            if self._schema is not None:
                return
            self._schema = schema_of(like if model is None else model)
        held = None if model is None else self._hold(0, dict(model))
        atexit.register(self._exit)
        self._write(Beginning(self._schema, held))
        self._clerk.start()
        if self._follower:
            self._follower.start()
        if self.required:
            self._require(0)

    @_quietly(lambda self: None)
    def update(
        self,
        number: int,
        client: str,
        model: Arrays,
        metrics: Mapping[str, Any] | None = None,
        weight: float | None = None,
    ) -> None:
        """Take what a client sent in a round. The arrays must not change any more.

        An update that comes again takes the place of the first.

        Args:
            weight: the client's weight in the average, such as its number of examples.
        """
        if self._schema is None:
            self.begin(None, like=model)
        if self._schema is None or self.report.broken:
            return
        plain, left_out = plain_metrics(metrics or {})
        weights, no_weight = plain_metrics({"weight": weight})
        left_out += no_weight
        if left_out:
            self.miss(f"{', '.join(left_out)} of {client!r} in round {number}", "no numbers that JSON has")
        if why := self._take(number, str(client), fitted(model, self._schema), plain, weights.get("weight")):
            self.miss(f"the update of {client!r} in round {number}", why)

    @_quietly(lambda self: Advice())
    def advise(self, number: int) -> Advice:
        """Return what the advisers say of an open round, within the deadline; see `Advice.factors`."""
        if self._mode is None or not self._advisers:
            return Advice()
        advice = self._ask(number, self._mode)
        if advice.problem:
            self.report.unadvised += 1
            logger.warning("round %d is aggregated without advice: %s", number, advice.problem)
        self._advice[number] = advice
        return advice

    @_quietly(_nobody)
    def choose(self, /, number: int, workload: str, count: int, **params: Any) -> list[str] | None:
        """Return the clients that a workload `schedule-…` chooses for a round; None if it does not answer in time."""
        with self._changed:
            self._patient(number).wait(self._changed, lambda: self._is_down() or self._has_ended(number - 1))
        [chosen] = self._in_time(
            number, [lambda: self._desk.store.run(self._desk.job, workload, count=count, **params)]
        )
        if isinstance(chosen, BaseException) or chosen is None:
            logger.warning(
                "round %d has its clients chosen by the framework: %s", number, chosen or "no answer in time"
            )
            return None
        return [each if isinstance(each, str) else str(each["client"]) for each in chosen.result.raw["chosen"]]

    @_quietly(lambda self: None)
    def aggregate(self, number: int, model: Arrays) -> None:
        """Take the model that a round ended with, before the round is closed."""
        if self._schema is None:
            self.begin(None, like=model)
        if self._schema is None or self.report.broken:
            return
        if why := self._take(number, "", fitted(model, self._schema), {}, None):
            self.miss(f"the aggregate of round {number}", why)

    @_quietly(lambda self: None)
    def close(
        self,
        number: int,
        aggregate: Arrays | None = None,
        metrics: Mapping[str, Any] | None = None,
        hyperparameters: Mapping[str, Any] | None = None,
    ) -> None:
        """Commit a round, with what was advised.

        Args:
            aggregate: the model that the round ended with, unless the method `aggregate` took it, or there is none.

        Raises:
            Unavailable: if recording is `required` and the round is not recorded within the deadline.
        """
        if self.report.broken and not self.required:
            return
        if aggregate is not None:
            self.aggregate(number, aggregate)
        named, _ = plain_metrics(metrics or {})
        settings, _ = plain_metrics(hyperparameters or {})
        if advice := self._advice.pop(number, None):
            named[ADVICE] = advice.to_json()
        self._write(Closing(number, named, settings))
        if self.required:
            self._require(number)

    def before_exit(self, close: Callable[[], None]) -> None:
        """Have `close` called, which may close a round, if the process ends and `finish` was not called."""
        self._close = close

    def _exit(self) -> None:
        self._close()
        self.finish()

    def finish(self) -> Report:
        """Wait a while for what is not recorded yet, say what was, and take no more."""
        with self._changed:
            if self._finished:
                return self.report
            self._finished = True
            patience = Patience(self._limits.linger_s)
            if self._schema is not None:  # without a model no job was opened, and nothing comes of waiting
                patience.wait(self._changed, lambda: self._journal.is_idle() or bool(self.report.broken))
        self._clerk.stop()
        atexit.unregister(self._exit)
        self._leave()
        if self._follower:
            self.report.untracked = self._follower.finish(patience)
        self._shelf.clear()
        (logger.info if self.report.is_whole else logger.warning)("%s", self.report.line())
        return self.report

    def _take_up(self) -> None:
        """Record what earlier trainings of the job left in the spool."""
        if self._training.resume and (spool := self._limits.spool):
            self.report.taken_up += take_up(spool, self._training.job, self._desk.store)

    def _leave(self) -> None:
        """Leave what is not recorded to a later training, where a spool is named, and tell of the rest."""
        with self._changed:
            newest, pages = self._journal.closed()
            unfinished = [] if self.report.broken else list(self._journal.unfinished())
        left: set[int] = set()
        if unfinished and pages and self._limits.spool:
            training = replace(self._training, opened=self._desk.opened, newest=newest)
            folder, count = leave(self._limits.spool, training, pages, self._limits.spool_bytes)
            left = {page.number for page in pages[:count]}
            self.report.leave(len(left - {0}), folder)
        for step in unfinished:
            if step.round not in left:
                self.miss(described(step), self._clerk.away or "it took too long")

    def miss(self, what: str, why: object) -> None:
        """Note what is not recorded, and why."""
        with self._changed:
            self.report.miss(what, why)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def _write(self, step: Step) -> bool:
        with self._changed:
            written = self._journal.write(step)
            self._changed.notify_all()
        return written

    def _take(self, number: int, client: str, model: Arrays, metrics: Mapping[str, Any], weight: float | None) -> str:
        """Have an update stored; return why not."""
        try:
            held = self._hold(number, model)
        except (FLStoreError, OSError) as error:
            return str(error)
        if held is None:
            return "there was no room for it while it waited"
        if not self._write(Update(number, client, held, metrics, weight)):
            self._shelf.release(held)
            return "it came after the round was closed"
        return ""

    def _hold(self, number: int, model: Mapping[str, Any]) -> Held | None:
        """Put a model on the shelf; wait for room while the round has patience."""
        held = self._shelf.hold(model)
        while held is None and not self._is_down():
            with self._changed:
                if not self._patient(number).wait(
                    self._changed, lambda: self._is_down() or self._shelf.has_room(model)
                ):
                    return None
            held = self._shelf.hold(model)
        return held

    def _patient(self, number: int) -> Patience:
        return self._patience.setdefault(number, Patience(self._limits.deadline_s))

    def _is_down(self) -> bool:
        """Return whether it is known that waiting is in vain."""
        return self._clerk.away is not None or bool(self.report.broken)

    def _has_ended(self, number: int) -> bool:
        return self._journal.page(number).ended

    def _ask(self, number: int, mode: Mode) -> Advice:
        with self._changed:
            page = self._journal.page(number)
            self._patient(number).wait(self._changed, lambda: self._is_down() or page.is_stored)
            clients, is_stored, why = list(page.stored), page.is_stored, self.report.broken or self._clerk.away
            refused = Opinion(dict.fromkeys(page.refused, 0.0), {each: [why] for each, why in page.refused.items()})
        called = names(self._advisers)
        if why or not is_stored or not clients:
            late = "the updates were not stored in time" if not is_stored else "no update is stored"
            return Advice(mode, called, problem=str(why or late))
        store, job, round_ = self._desk.store, self._desk.job, self._desk.round_of(number)
        calls = [functools.partial(ask, adviser, store, job, round_) for adviser in self._advisers]
        opinions = [refused]
        for name, opinion in zip(called, self._in_time(number, calls), strict=True):
            if not isinstance(opinion, Opinion):
                return Advice(mode, called, problem=f"{name}: {opinion or 'no answer in time'}")
            opinions.append(opinion)
        return combine(mode, called, opinions, clients)

    def _in_time(self, number: int, calls: Sequence[Callable[[], T]]) -> list[T | Exception | None]:
        """Make calls at once, and return what each returned or raised; None for those that took too long."""
        outcomes: list[T | Exception | None] = [None] * len(calls)
        left = set(range(len(calls)))

        def make(index: int) -> None:
            outcome: T | Exception
            try:
                outcome = calls[index]()
            except Exception as error:  # of a function of the user too
                outcome = error
            with self._changed:
                outcomes[index] = outcome
                left.discard(index)
                self._changed.notify_all()

        for index in range(len(calls)):
            threading.Thread(target=make, args=(index,), name="flstore-advice", daemon=True).start()
        with self._changed:
            self._patient(number).wait(self._changed, lambda: not left)
            return list(outcomes)

    def _require(self, number: int) -> None:
        with self._changed:
            self._patient(number).wait(self._changed, lambda: self._has_ended(number) or bool(self.report.broken))
            if not self._has_ended(number) or self.report.broken:
                why = self.report.broken or self._clerk.away or "the store is too slow"
                raise Unavailable(f"round {number} could not be recorded, and recording is required: {why}")
