"""Around the methods of an older strategy, `flwr.server.strategy.Strategy`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from flwr.common import FitIns, FitRes, Parameters, Scalar
from flwr.server.client_manager import ClientManager
from flwr.server.client_proxy import ClientProxy
from flwr.server.strategy import Strategy

from flstore_core.integrations.flower.chapters import Chapters
from flstore_core.integrations.flower.models import Arrays, model_in, plain
from flstore_core.integrations.flower.names import KEY

Results = list[tuple[ClientProxy, FitRes]]
Failures = list[tuple[ClientProxy, FitRes] | BaseException]


class LegacyHooks:
    """What is done before and after each method of a strategy. The training ends with the process: nothing says so.

    Args:
        open_training: begins to record a training.
    """

    def __init__(self, strategy: Strategy, open_training: Callable[[], Chapters]) -> None:
        self._open_training = open_training
        self._training: Chapters | None = None
        self._configure_fit = strategy.configure_fit
        self._aggregate_fit = strategy.aggregate_fit
        self._evaluate = strategy.evaluate
        self._aggregate_evaluate = strategy.aggregate_evaluate

    @property
    def methods(self) -> Mapping[str, Callable[..., Any]]:
        """The methods that take the place of the strategy's own."""
        return {
            "configure_fit": self.configure_fit,
            "aggregate_fit": self.aggregate_fit,
            "evaluate": self.evaluate,
            "aggregate_evaluate": self.aggregate_evaluate,
        }

    def configure_fit(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> list[tuple[ClientProxy, FitIns]]:
        """Open the round, and have its clients chosen."""
        training = self._recorded()
        training.begin(lambda: model_in(parameters))
        instructions = self._configure_fit(server_round, parameters, client_manager)
        training.open(server_round, plain(instructions[0][1].config) if instructions else {})
        there = client_manager.all()
        return _redirected(instructions, [there[node] for node in training.choose(len(instructions), there)])

    def aggregate_fit(
        self, server_round: int, results: Results, failures: Failures
    ) -> tuple[Parameters | None, dict[str, Scalar]]:
        """Record the updates, ask for advice, and have the rest aggregated."""
        training = self._recorded()
        if training.number != server_round:
            training.open(server_round, {})
        training.fail(_reasons(failures))
        parameters, metrics = self._aggregate_fit(server_round, _advised(training, results), failures)
        training.add(plain(metrics))
        if parameters is not None:
            training.end(lambda: model_in(parameters))
        return parameters, metrics

    def evaluate(self, server_round: int, parameters: Parameters) -> tuple[float, dict[str, Scalar]] | None:
        """Record the metrics of the round's model, as the server evaluated it."""
        outcome = self._evaluate(server_round, parameters)
        if outcome is not None and server_round:
            self._recorded().add({"loss": outcome[0], **plain(outcome[1])})
        return outcome

    def aggregate_evaluate(self, server_round: int, results: Any, failures: Any) -> Any:
        """Record the metrics of the round's model, as clients evaluated it."""
        loss, metrics = outcome = self._aggregate_evaluate(server_round, results, failures)
        self._recorded().add({**({} if loss is None else {"loss": loss}), **plain(metrics)})
        return outcome

    def _recorded(self) -> Chapters:
        if self._training is None:
            self._training = self._open_training()
        return self._training


def _advised(training: Chapters, results: Results) -> Results:
    """Return the results that are to be aggregated, without the names that clients said."""
    names = [str(result.metrics.get(KEY) or proxy.cid) for proxy, result in results]
    for _, result in results:
        result.metrics.pop(KEY, None)
    if _is_masked(results):
        training.hide({name: plain(result.metrics) for name, (_, result) in zip(names, results, strict=True)})
        return results
    for name, (proxy, result) in zip(names, results, strict=True):
        training.update(id(result), name, proxy.cid, _model_in(result), plain(result.metrics), result.num_examples)
    advice = training.advise() if results else None
    factors = [advice.factor(training.client(id(result))) if advice else 1.0 for _, result in results]
    return [
        (proxy, result if factor == 1.0 else replace(result, num_examples=result.num_examples * factor))  # type: ignore[arg-type]
        for (proxy, result), factor in zip(results, factors, strict=True)
        if factor > 0.0
    ]


def _is_masked(results: Results) -> bool:
    """Return whether secure aggregation has taken place: it hands the strategy one and the same model for all."""
    return len(results) > 1 and all(result.parameters is results[0][1].parameters for _, result in results)


def _model_in(result: FitRes) -> Callable[[], Arrays]:
    return lambda: model_in(result.parameters)


def _reasons(failures: Failures) -> dict[str, str]:
    """Return why clients failed, by their names, or by numbers where only an exception is known."""
    return {
        str(number) if isinstance(failure, BaseException) else failure[0].cid: str(failure)
        if isinstance(failure, BaseException)
        else failure[1].status.message
        for number, failure in enumerate(failures)
    }


def _redirected(
    instructions: list[tuple[ClientProxy, FitIns]], chosen: list[ClientProxy]
) -> list[tuple[ClientProxy, FitIns]]:
    """Return instructions for the chosen clients, as many as there are; those left over go where they would have."""
    asked = {proxy.cid for proxy, _ in instructions}
    wanted = [proxy for proxy in chosen if proxy.cid not in asked]
    keep = {proxy.cid for proxy in chosen}
    return [(wanted.pop(0), ins) if wanted and proxy.cid not in keep else (proxy, ins) for proxy, ins in instructions]
