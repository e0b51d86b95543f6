"""An aggregator for FedAvg and ScatterAndGather that records what it aggregates, and follows advice."""

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLMetaKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

from flstore_core.errors import FLStoreError, InvalidParameters
from flstore_core.integrations.nvflare.averaging import Average
from flstore_core.integrations.nvflare.configured import Configured, options_of, plain_transport
from flstore_core.integrations.nvflare.hooks import Hooks
from flstore_core.integrations.nvflare.models import Update, client_of, is_encrypted, steps_of, update_of
from flstore_core.integrations.nvflare.references import References, carried, reference_in, referring
from flstore_core.integrations.recorder import Advice, Adviser, Limits, Mode, Tracker
from flstore_core.integrations.recorder.desk import is_away
from flstore_core.integrations.reference import ByReference
from flstore_core.records import WEIGHT_NAMES

logger = logging.getLogger("flstore.nvflare")

ENCRYPTED = (
    "updates are encrypted homomorphically, so FLStore can neither read nor average them; "
    "give the recipe its own aggregator again"
)


class FLStoreAggregator(ModelAggregator, Configured):  # type: ignore[misc]
    """Averages as NVFlare's FedAvg does, or as another aggregator does, and records each round in FLStore.

    Round r of NVFlare is round r + 1 of the job, and the model that training starts from is round 0. While advice
    excludes or weighs, updates are kept until the round's last one has come; otherwise only their sum is.

    Args:
        url: of FLStore's gateway. Its token is `FLSTORE_TOKEN` in the server's environment.
        job: the job's name. If an earlier training has it, a number is added, unless `resume`.
        aggregator: the aggregator to stand around; by default a weighted average is taken.
        resume: go on with the job of that name: the next round is numbered after the last that it has.
        advice: `exclude` clients that advisers are against, `weigh` them, or only `observe` what is advised; None to
            ask for no advice.
        advisers: names of workloads, or functions of modules that the server has, as `module:function` or themselves.
        schedule: the workload that chooses each round's clients, such as `schedule-performance`; by default the
            workflow does. The workflow says how many.
        exclude_vars: regular expression of tensors that are not averaged; by default the workflow's.
        aggregation_weights: factor of each client's weight by name, 1 for others; by default the workflow's.
        required: stop the training if a round cannot be recorded within the deadline.
        transport: whether models pass through the server, or, by `reference`, between clients and FLStore alone. For
            that, the recipe needs the filters of `by_reference`. `ByReference` of
            `flstore_core.integrations.reference` says how.
        tracker: is told of each round that is committed, such as `flstore_core.integrations.mlflow.MLflow`.
        limits: time, memory and disk that recording may take, as `Limits` or as a mapping.
        settings: further arguments of `FLStore.create_job`.

    Raises:
        InvalidParameters: if an argument cannot be written into a job, or is wrong.
    """

    def __init__(
        self,
        url: str,
        job: str = "nvflare",
        *,
        aggregator: ModelAggregator | None = None,
        resume: bool = False,
        advice: Mode | Literal["exclude", "weigh", "observe"] | None = "observe",
        advisers: Sequence[Adviser] = ("malicious-filter",),
        schedule: str = "",
        exclude_vars: str | None = None,
        aggregation_weights: Mapping[str, float] | None = None,
        required: bool = False,
        transport: Literal["value", "reference"] | ByReference | Mapping[str, Any] = "value",
        tracker: Tracker | None = None,
        limits: Limits | Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if aggregator is not None and not isinstance(aggregator, ModelAggregator):
            raise InvalidParameters(f"{aggregator!r:.80} is no ModelAggregator of NVFlare")
        self.configure(
            url,
            job,
            resume=resume,
            advice=advice,
            advisers=advisers,
            required=required,
            tracker=tracker,
            limits=limits,
            settings=settings,
        )
        self.aggregator = aggregator
        self.schedule = schedule
        self.exclude_vars = exclude_vars
        self.aggregation_weights = dict(aggregation_weights) if aggregation_weights else None
        self.transport = plain_transport(transport, self.advice)
        self._hooks = Hooks(self, self.open_recorder, schedule)
        self._kept: list[tuple[Update, FLModel]] = []
        self._average: Average | None = None
        self._options = options_of(self.transport)
        self._references: References | None = None
        self._delivered: dict[str, FLModel] = {}
        """What clients sent whose updates are in the store."""
        self._newest: FLModel | None = None
        """The model that the store made last."""

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        super().handle_event(event_type, fl_ctx)
        if event_type == EventType.START_RUN:
            self._references, self._newest = None, None
        self._hooks.handle(event_type, fl_ctx)
        if event_type == EventType.START_WORKFLOW and self._hooks.encrypted:
            self._refuse_encrypted(fl_ctx)

    def accept(self, shareable: Shareable, fl_ctx: FLContext) -> bool:
        """Take a client's result from ScatterAndGather; one of an earlier round is refused."""
        self.fl_ctx = fl_ctx
        sent_in, number = shareable.get_cookie(AppConstants.CONTRIBUTION_ROUND), self._round()
        if sent_in is not None and sent_in != number:
            self._leave_out(client_of(FLModel(metrics={}), fl_ctx), f"it is of round {sent_in}, and comes in {number}")
            return False
        with self._hooks.guarded(fl_ctx):
            return self._take(FLModelUtils.from_shareable(shareable, fl_ctx))
        return False

    def accept_model(self, model: FLModel) -> None:
        """Take a client's model from FedAvg. Never raises: NVFlare would publish what was summed up until then."""
        with self._hooks.guarded(self.fl_ctx):
            self._take(model)

    def refer(self, shareable: Shareable, fl_ctx: FLContext) -> Shareable:
        """Return a task that names the model; one that carries it, where the store is away and that may be.

        Raises:
            FLStoreError: if the task cannot be given; the job is stopped.
        """
        client = client_of(FLModel(metrics={}), fl_ctx)
        try:
            self._hooks.training.open(shareable.get_header(AppConstants.CURRENT_ROUND))
            clients = [each.name for each in fl_ctx.get_engine().get_clients()]
            assignment = self._referring().assign(self._hooks.training.number, client, clients)
        except FLStoreError as error:
            if self._options and self._options.away == "value" and is_away(error):
                logger.warning("the model is sent to %s by value: %s", client, error)
                return carried(shareable)
            self.system_panic(str(error), fl_ctx)
            raise
        return referring(shareable, assignment.to_text())

    def aggregate_model(self) -> FLModel:
        """Ask for advice, and return the aggregate of all but those that are left out."""
        references, number = self._references, self._hooks.training.number
        for client, why in references.confirm(number).items() if references else ():
            del self._delivered[client]
            self._leave_out(client, why)
        advice = Advice()
        with self._hooks.guarded(self.fl_ctx):
            advice = self._hooks.training.advise()
        result = self._averaged_by_store(references, advice) if references and self.aggregator is None else None
        if result is None:
            result = self._averaged_here(references, advice)
        with self._hooks.guarded(self.fl_ctx):
            self._hooks.training.conclude(result)
        return result

    def reset_stats(self) -> None:
        """Begin a round."""
        self._kept, self._average, self._delivered = [], None, {}
        if self.aggregator is not None:
            self.aggregator.fl_ctx = self.fl_ctx
            self.aggregator.reset_stats()

    def _take(self, model: FLModel) -> bool:
        """Record a client's model, and count it or keep it; return whether it is taken."""
        training, client = self._hooks.training, client_of(model, self.fl_ctx)
        if is_encrypted(model):
            self._refuse_encrypted(self.fl_ctx)
            return False
        training.open(self._round(model))
        if text := reference_in(model.params):
            return self._take_reference(text, model, client)
        try:
            update = update_of(model, client)
        except TypeError as error:
            return self._leave_out(client, str(error))
        why = ""
        with self._hooks.guarded(self.fl_ctx):
            why = training.update(update, self._weight(update))
        if why:
            return self._leave_out(client, why)
        if self.advice in (Mode.EXCLUDE, Mode.WEIGH) or self._options:
            self._kept.append((update, model))
        else:
            self._count(update, model, 1.0)
        return True

    def _take_reference(self, text: str, model: FLModel, client: str) -> bool:
        why = self._hooks.training.note(client) or self._referring().take(client, text, steps_of(model))
        if why:
            return self._leave_out(client, why)
        self._delivered[client] = model
        return True

    def _referring(self) -> References:
        if self._options is None:
            raise InvalidParameters("a message goes by reference, and the aggregator has transport='value'")
        if self.exclude_vars or self._hooks.of_workflow("exclude_vars"):
            raise InvalidParameters("exclude_vars cannot go by reference; have clients leave those tensors out")
        if self._references is None:
            recorder = self._hooks.training.begin()
            key = (self.settings or {}).get("weight_key", WEIGHT_NAMES[0])
            self._references = References(recorder, self._options, self.connect().url, key)
        return self._references

    def _averaged_by_store(self, references: References, advice: Advice) -> FLModel | None:
        """Return the aggregate as the store makes it; None where nobody counts, or it is away and this server may."""
        updates = [
            *(update for update, _ in self._kept),
            *(
                Update(client, {}, False, model.metrics or {}, steps_of(model))
                for client, model in self._delivered.items()
            ),
        ]
        factors = {each.client: self._share(each.client) * advice.factor(each.client) for each in updates}
        factors = {client: factor for client, factor in factors.items() if factor > 0.0}
        if not factors:
            self._delivered = {}
            return None
        number, metrics = self._hooks.training.number, Average(None)
        for update in updates:
            if update.client in factors:
                metrics.add(replace(update, arrays={}), update.steps * factors[update.client], number)
        try:
            result = references.aggregate(number, factors)
        except FLStoreError as error:
            if references.options.away == "stop" or not is_away(error):
                raise
            logger.warning("this round is averaged without the updates that are in the store: %s", error)
            self._delivered = {}
            return None
        result.metrics = metrics.result().metrics
        self._newest = result
        if references.options.away == "value":
            with self._hooks.guarded(self.fl_ctx):
                len(result.params)  # reads it now, so that it is there while the store is not
        return result

    def _averaged_here(self, references: References | None, advice: Advice) -> FLModel:
        kept, self._kept = self._kept, []
        for client, model in self._delivered.items():
            assert references is not None
            arrays = references.update(self._hooks.training.number, client)
            kept.append((Update(client, arrays, False, model.metrics or {}, steps_of(model)), model))
        for update, model in kept:
            if factor := advice.factor(update.client):
                self._count(update, model, factor)
        return self._result()

    def _count(self, update: Update, model: FLModel, factor: float) -> None:
        if self.aggregator is None:
            self._average = self._average or Average(self.exclude_vars or self._hooks.of_workflow("exclude_vars"))
            training = self._hooks.training
            self._average.add(training.padded(update), self._weight(update) * factor, training.number)
            return
        whole = copy.copy(model)
        whole.params = update.arrays
        if factor != 1.0:
            whole.meta = {**(model.meta or {}), FLMetaKey.NUM_STEPS_CURRENT_ROUND: update.steps * factor}
        self.aggregator.fl_ctx = self.fl_ctx
        try:
            self.aggregator.accept_model(whole)
        except Exception as error:  # of the user's code
            self._leave_out(update.client, f"{type(self.aggregator).__name__} did not take it: {error}")

    def _result(self) -> FLModel:
        if self.aggregator is not None:
            result: FLModel = self.aggregator.aggregate_model()
            return result
        average, self._average = self._average, None
        if average is None:
            logger.warning("no client's model counts in this round; the global model stays as it is")
            newest = self._newest.params if self._newest else None
            return FLModel(params=newest) if newest is not None else self._hooks.training.unchanged()
        return average.result()

    def _weight(self, update: Update) -> float:
        return self._share(update.client) * update.steps

    def _share(self, client: str) -> float:
        weights = self.aggregation_weights or self._hooks.of_workflow("aggregation_weights") or {}
        return float(weights.get(client, 1.0))

    def _round(self, model: FLModel | None = None) -> int:
        said = self.fl_ctx.get_prop(AppConstants.CURRENT_ROUND) if self.fl_ctx else None
        if said is None and model is not None:
            said = model.current_round
        return int(said or 0)

    def _leave_out(self, client: str, why: str) -> bool:
        logger.warning("what %s sent is left out: %s", client, why)
        self._hooks.training.fail(client, why)
        return False

    def _refuse_encrypted(self, fl_ctx: FLContext | None) -> None:
        logger.error(ENCRYPTED)
        if fl_ctx is not None:
            self.system_panic(ENCRYPTED, fl_ctx)
