"""A client's side of a training by reference: it fetches the model, and stores its own update."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from flstore_core.client import Arrays, FLStore
from flstore_core.client.encoding import decode_model
from flstore_core.client.tensors import schema_of
from flstore_core.errors import InvalidParameters
from flstore_core.ids import AGGREGATE
from flstore_core.integrations.recorder.fitting import fitted, plain_metrics, weighted
from flstore_core.integrations.reference.hosts import Hosts
from flstore_core.integrations.reference.references import Assignment, Delivery, Model
from flstore_core.schema import Schema

KEPT_SCHEMAS = 4


class Participant:
    """What clients in one process share. Safe to use from several threads.

    The model that was fetched last is kept, as bytes that nobody changes, for other clients in this process and for an
    evaluation of what was just trained. It is found by its hash and its gateway, so that a stale one is never used.

    Args:
        hosts: the gateways that the operator allows.
        timeout_s: seconds of silence after which a gateway counts as away.
        retries: further attempts after the first.
        keep: whether to keep the last model, which takes its size in memory.
    """

    def __init__(self, hosts: Hosts, *, timeout_s: float = 60.0, retries: int = 3, keep: bool = True) -> None:
        self._hosts = hosts
        self._options: Mapping[str, Any] = {"timeout_s": timeout_s, "retries": retries}
        self._keep = keep
        self._lock = threading.Lock()
        self._kept: tuple[tuple[str, str], bytearray] | None = None
        self._schemas: OrderedDict[str, Schema] = OrderedDict()

    def fetch(self, assignment: Assignment, *, own: bool = True) -> dict[str, NDArray[Any]]:
        """Return the model that an assignment names.

        Args:
            own: whether the arrays belong to the caller; others are not copied, may be shared, and cannot be written.

        Raises:
            ForeignHost: if the operator has not allowed its gateway.
            DigestMismatch: if the gateway has another model there.
            FLStoreError: what the gateway answers.
        """
        model = assignment.model
        self._hosts.require(model.url)
        body = self._body(model)
        arrays = model.ordered(decode_model(bytearray(body) if own and self._keep else body))
        for array in () if own else arrays.values():
            array.flags.writeable = False
        with self._lock:
            self._schemas[model.sha256] = schema_of(arrays)
            while len(self._schemas) > KEPT_SCHEMAS:
                self._schemas.popitem(last=False)
        return arrays

    def deliver(self, assignment: Assignment, arrays: Arrays, metrics: Mapping[str, Any] | None = None) -> Delivery:
        """Store a client's update, in the dtypes of the model that it was trained from, and return what to say of it.

        Raises:
            InvalidParameters: if the assignment has no place for an update.
            ForeignHost: if the operator has not allowed its gateway.
            FLStoreError: what the gateway answers.
        """
        place, model = assignment.place, assignment.model
        if place is None:
            raise InvalidParameters("the assignment names no place for an update; the model is only to be evaluated")
        values = metrics or {}
        weight = values.get(assignment.weight_key)
        plain, _ = plain_metrics(weighted(values, weight if isinstance(weight, int | float) else None))
        with self._open(model.url, place.ticket) as store:
            receipt = store.put_update(model.job, place.round, place.client, self._fitted(model, arrays), metrics=plain)
        return Delivery(model.job, place.round, place.client, receipt.sha256, receipt.nbytes)

    def _fitted(self, model: Model, arrays: Arrays) -> Arrays:
        with self._lock:
            schema = self._schemas.get(model.sha256)
        return fitted(arrays, schema) if schema else arrays

    def _body(self, model: Model) -> bytearray:
        """Return the model's file, which may be the one that is kept."""
        key = (model.url, model.sha256)
        with self._lock:
            kept = self._kept
        if kept and kept[0] == key:
            return kept[1]
        with self._open(model.url, model.ticket) as store:
            body = store.download_raw(model.job, model.round, AGGREGATE, sha256=model.sha256)
        if self._keep:
            with self._lock:
                self._kept = (key, body)
        return body

    def _open(self, url: str, ticket: str) -> FLStore:
        return self._hosts.open(url, ticket, **self._options)
