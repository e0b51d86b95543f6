"""The server's side of a training by reference, as an aggregator uses it."""

import threading
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from typing import Any

from nvflare.apis.dxo import DXO, from_shareable
from nvflare.apis.shareable import Shareable, make_copy
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.fuel.utils import fobs
from nvflare.fuel.utils.fobs.datum import DatumManager
from nvflare.fuel.utils.fobs.decomposer import Decomposer

from flstore_core.errors import FLStoreError, Unavailable
from flstore_core.integrations.nvflare.models import Arrays, model_in
from flstore_core.integrations.recorder import Recorder
from flstore_core.integrations.reference import Assignment, ByReference, Coordinator, Delivery

REFERENCE = "flstore.reference"
"""The one parameter of a message by reference: the text of an assignment or a delivery."""


class Later(dict[str, Any]):
    """A model's arrays by name, fetched from the store when somebody reads them. Copies are the same model."""

    def __init__(self, fetch: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__()
        self._fetch: Callable[[], Mapping[str, Any]] | None = fetch
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[str]:
        self._read()
        return super().__iter__()

    def __len__(self) -> int:
        self._read()
        return super().__len__()

    def __bool__(self) -> bool:
        return True

    def __contains__(self, name: object) -> bool:
        self._read()
        return super().__contains__(name)

    def __getitem__(self, name: str) -> Any:
        self._read()
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._read()
        return super().get(name, default)

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        self._read()
        return super().keys()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        self._read()
        return super().values()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        self._read()
        return super().items()

    def copy(self) -> dict[str, Any]:
        return dict(self.items())

    def __copy__(self) -> "Later":
        return self

    def __deepcopy__(self, memo: object) -> "Later":
        return self

    def _read(self) -> None:
        with self._lock:
            if self._fetch is not None:
                super().update(self._fetch())
                self._fetch = None


class LaterDecomposer(Decomposer):  # type: ignore[misc]
    """Has NVFlare write a model that is fetched as any other."""

    def supported_type(self) -> type[Later]:
        return Later

    def decompose(self, target: Later, manager: DatumManager | None = None) -> dict[str, Any]:
        return target.copy()

    def recompose(self, data: dict[str, Any], manager: DatumManager | None = None) -> dict[str, Any]:
        return data


def reference_in(params: Any) -> str | None:
    """Return the text that stands in the place of a model; None if there is a model."""
    text = params.get(REFERENCE) if isinstance(params, dict) and not isinstance(params, Later) else None
    return text if isinstance(text, str) else None


def referring(shareable: Shareable, text: str, data_kind: str | None = None) -> Shareable:
    """Return a message with a text in place of its model; the original stays as it is."""
    return carrying(shareable, {REFERENCE: text}, data_kind)


def carrying(shareable: Shareable, params: Arrays, data_kind: str | None = None) -> Shareable:
    """Return a message with other parameters; the original stays as it is."""
    dxo = from_shareable(shareable)
    message: Shareable = make_copy(shareable)
    return DXO(data_kind or dxo.data_kind, params, dxo.meta).update_shareable(message)


def carried(shareable: Shareable) -> Shareable:
    """Return a message with the model itself, if that is to be fetched."""
    model = model_in(shareable)
    return carrying(shareable, dict(model.params)) if model and isinstance(model.params, Later) else shareable


class References:
    """Hands out assignments, and has the store aggregate what clients have delivered.

    Args:
        url: of the gateway, as clients reach it unless the options say otherwise.
    """

    def __init__(self, recorder: Recorder, options: ByReference, url: str, weight_key: str) -> None:
        fobs.register(LaterDecomposer)
        self.options = options
        self._coordinator = Coordinator(recorder, options, url, weight_key)
        self._lock = threading.Lock()
        self._number = 0
        self._missed = 0
        """The round that could not go by reference."""
        self._assigned: dict[str, Assignment] = {}
        self._deliveries: dict[str, Delivery] = {}
        self._weights: dict[str, float] = {}

    def assign(self, number: int, client: str, clients: Sequence[str]) -> Assignment:
        """Return what a client is asked to do in a round; what all `clients` are asked to do is looked up at once.

        Raises:
            FLStoreError: if the store has no model, or is away for too long.
        """
        with self._lock:
            if number == self._missed:  # its first client has waited for the store, and all others would
                raise Unavailable(f"round {number} does not go by reference")
            if number != self._number:
                self._begin(number, clients)
            if client not in self._assigned:
                self._assigned |= self._coordinator.assign(number, [client])
            return self._assigned[client]

    def _begin(self, number: int, clients: Sequence[str]) -> None:
        self._missed = number
        self._assigned = self._coordinator.assign(number, clients)
        self._number, self._missed, self._deliveries, self._weights = number, 0, {}, {}

    def take(self, client: str, text: str, weight: float) -> str:
        """Note what a client says that it has stored; return why it cannot be read, or an empty text."""
        try:
            delivery = Delivery.from_text(text)
        except FLStoreError as error:
            return str(error)
        with self._lock:
            self._deliveries[client], self._weights[client] = delivery, weight
        return ""

    def confirm(self, number: int) -> dict[str, str]:
        """Return the clients whose updates are not stored as they said, each with the reason."""
        with self._lock:
            if number != self._number:  # it went by value
                return {}
            deliveries, weights = dict(self._deliveries), dict(self._weights)
        try:
            return self._coordinator.confirm(number, deliveries, weights)
        except Unavailable as error:
            if self.options.away == "stop":
                raise
            return dict.fromkeys(deliveries, str(error))

    def aggregate(self, number: int, factors: Mapping[str, float]) -> FLModel:
        """Have the store make the round's aggregate of the clients that factors are given for."""
        self._coordinator.aggregate(number, factors, factors)
        return self.newest(number)

    def newest(self, number: int) -> FLModel:
        """Return the model that a round ends with, or the one before where it ends without one."""
        return FLModel(params_type=ParamsType.FULL, params=Later(lambda: self._coordinator.model(number)))

    def update(self, number: int, client: str) -> Arrays:
        """Return a client's update, to be fetched."""
        return Later(lambda: self._coordinator.update(number, client))
