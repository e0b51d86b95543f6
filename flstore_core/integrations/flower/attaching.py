"""Attaches a recorder to a strategy, of either kind."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from flwr.server.strategy import Strategy as LegacyStrategy
from flwr.serverapp.strategy import Strategy

from flstore_core.client import FLStore
from flstore_core.errors import InvalidParameters
from flstore_core.integrations.flower.chapters import Chapters
from flstore_core.integrations.flower.legacy import LegacyHooks
from flstore_core.integrations.flower.messages import MessageHooks, weight_key
from flstore_core.integrations.flower.references import ReferenceHooks
from flstore_core.integrations.recorder import Adviser, Limits, Mode, Recorder, Tracker
from flstore_core.integrations.reference import ByReference
from flstore_core.records import WEIGHT_NAMES

S = TypeVar("S", bound=Strategy | LegacyStrategy)


def attach(
    strategy: S,
    store: FLStore | str,
    *,
    job: str = "flower",
    resume: bool = False,
    advice: Mode | Literal["exclude", "weigh", "observe"] | None = "observe",
    advisers: Sequence[Adviser] = ("malicious-filter",),
    schedule: str = "",
    required: bool = False,
    transport: Literal["value", "reference"] | ByReference = "value",
    tracker: Tracker | None = None,
    limits: Limits | None = None,
    **settings: Any,
) -> S:
    """Have a strategy's trainings recorded, and return the strategy.

    Its methods are replaced on this one instance, and call its own: a class that overrides `start` or `aggregate_train`
    works as before. Each training is a job; Flower's round 1 is round 1 of it, and the initial model round 0.

    Args:
        store: FLStore, or the URL of its gateway.
        job: the job's name. If an earlier training has it, a number is added, unless `resume`.
        resume: go on with the job of that name: the next round is numbered after the last that it has.
        advice: `exclude` clients that advisers are against, `weigh` them, or only `observe` what is advised; None to
            ask for no advice.
        advisers: names of workloads, or functions, that are asked before each aggregation; see
            `flstore_core.integrations.recorder.Adviser`.
        schedule: the workload that chooses each round's clients, such as `schedule-performance`; by default the
            strategy does. It can choose clients that took part before, and are there.
        required: stop the training if a round cannot be recorded within the deadline.
        transport: whether models pass through this process, or, by `reference`, between clients and FLStore alone. For
            that, clients need the mod `by_reference`. `ByReference` of `flstore_core.integrations.reference` says how.
        tracker: is told of each round that is committed, such as `flstore_core.integrations.mlflow.MLflow`.
        limits: time, memory and disk that recording may take.
        settings: further arguments of `FLStore.create_job`.

    Raises:
        InvalidParameters: if it is no strategy, or is attached already; if it cannot go by reference.
    """
    if not isinstance(strategy, Strategy | LegacyStrategy):
        raise InvalidParameters(f"{strategy!r:.80} is no strategy of Flower; pass an instance, such as FedAvg()")
    if "flstore" in vars(strategy):
        raise InvalidParameters("the strategy is attached to FLStore already; attach it once")
    if isinstance(strategy, Strategy) and (key := weight_key(strategy)) not in WEIGHT_NAMES:
        settings = {"weight_key": key, **settings}
    client = FLStore(store) if isinstance(store, str) else store
    by_reference = _checked(transport, advice)
    if by_reference:
        settings = {"updates": "weights", **settings}
    options: dict[str, Any] = {
        "resume": resume,
        "advice": advice,
        "advisers": advisers,
        "required": required,
        "tracker": tracker,
    }
    Recorder(client, job, limits=limits, **options, **settings)  # names and options are checked before training starts

    def open_training() -> Chapters:
        return Chapters(Recorder(client, job, limits=limits, **options, **settings), schedule)

    hooks = _hooks(strategy, open_training, by_reference, client.url)
    for name, method in hooks.methods.items():
        setattr(strategy, name, method)
    vars(strategy)["flstore"] = hooks
    return strategy


def _checked(transport: str | ByReference, advice: str | None) -> ByReference | None:
    """Return how a training goes by reference; None if it goes by value."""
    if transport == "value":
        return None
    options = transport if isinstance(transport, ByReference) else ByReference()
    if transport not in ("reference", options):
        raise InvalidParameters(f"transport is {transport!r}; use 'value', 'reference' or a ByReference")
    if advice == Mode.WEIGH:
        options.require_weights()
    return options


def _hooks(
    strategy: Strategy | LegacyStrategy,
    open_training: Callable[[], Chapters],
    by_reference: ByReference | None,
    url: str,
) -> MessageHooks | LegacyHooks:
    if isinstance(strategy, LegacyStrategy):
        if by_reference:
            raise InvalidParameters("older strategies cannot go by reference; use one of flwr.serverapp.strategy")
        return LegacyHooks(strategy, open_training)
    if by_reference:
        return ReferenceHooks(strategy, open_training, by_reference, url)
    return MessageHooks(strategy, open_training)
