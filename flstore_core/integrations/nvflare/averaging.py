"""The average that NVFlare's FedAvg takes, by its own helper: each tensor over the clients that sent it."""

from collections.abc import Mapping
from typing import Any

from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.aggregators.weighted_aggregation_helper import WeightedAggregationHelper

from flstore_core.integrations.nvflare.models import Update, numbers_in


class Average:
    """A weighted average that is being taken; it keeps one sum, and no model.

    Args:
        exclude_vars: regular expression of the tensors that are left out.
    """

    def __init__(self, exclude_vars: str | None) -> None:
        self._params = WeightedAggregationHelper(exclude_vars=exclude_vars)
        self._metrics = WeightedAggregationHelper()
        self._is_delta = False
        self._all_have_metrics = True
        self.count = 0
        """Clients that are in it."""

    def add(self, update: Update, weight: float, number: int) -> None:
        """Take a client in. Its arrays stay as they are."""
        self._params.add(update.arrays, weight, update.client, number)
        self._is_delta = update.is_delta
        self._all_have_metrics &= bool(update.metrics)
        self._metrics.add(numbers_in(update.metrics), weight, update.client, number)
        self.count += 1

    def result(self) -> FLModel:
        """Return the average, with that of the metrics if all clients have sent some."""
        metrics: Mapping[str, Any] = self._metrics.get_result()
        kind = ParamsType.DIFF if self._is_delta else ParamsType.FULL
        taken = {name: float(value) for name, value in metrics.items()} if self._all_have_metrics else None
        return FLModel(params_type=kind, params=self._params.get_result(), metrics=taken or None)
