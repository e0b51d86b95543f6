"""An upload, and all checks that it has to pass before a byte of it is stored."""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from flstore_core import codec
from flstore_core.errors import InvalidParameters, InvalidTensors
from flstore_core.ids import ClientId
from flstore_core.records import MAX_WEIGHT, WEIGHT_NAMES, Job, to_bytes, weight_in

MAX_METRICS_BYTES = 64 * 1024
"""Longest JSON of one update's metrics."""

HEADER_SLACK_BYTES = 2**20
"""Bytes by which a file's header may exceed the one that the job's schema needs: room for metadata. Spaces at its end
do not count; a header that is longer with them is written anew.
"""


@dataclass(frozen=True, slots=True)
class Upload:
    """The body of one request, received completely. As text it is named by its round: "round 3 of job 'mnist'"."""

    job: Job
    round: int
    client: ClientId
    """A client, or `AGGREGATE`."""
    body: memoryview
    metrics: Mapping[str, Any]
    """Metrics from the request's header; they override those in the body."""
    sha256: str = ""
    """Of the body, in hexadecimal; computed here if whoever received the body has not done so."""
    replace: bool = False
    """Whether it may take the place of another update of the same client to the open round."""
    base: str | None = None
    """What the caller names as the round's base, as `services.gateway.rounds.bases.base_name` returns it."""
    is_ours: bool = False
    """Whether the gateway made the body. What it says of it is as long as the round is large, and is not limited."""
    sends: list[Future[None]] = field(default_factory=list, compare=False)
    """Sends of the body's slices, added by `Ingest.put`. The body has to stay in memory until all of them are done."""

    def __post_init__(self) -> None:
        if not self.sha256:
            object.__setattr__(self, "sha256", hashlib.sha256(self.body).hexdigest())

    def __str__(self) -> str:
        return f"round {self.round} of job {self.job.id!r}"


@dataclass(frozen=True, slots=True)
class CheckedUpload:
    """An upload that passed all checks, and the file that is stored of it."""

    upload: Upload
    """Its hash is that of the file."""
    file: codec.Canonical
    metrics: Mapping[str, Any]
    keyed_weight: float | None
    """See `Member.keyed_weight`."""


def check(upload: Upload) -> CheckedUpload:
    """Check an upload's body and metrics.

    Raises:
        InvalidTensors: if the body is not a safetensors file, or a number in it is not finite in float32.
        SchemaMismatch: if its tensors are not those of the job.
        InvalidParameters: as `merge_metrics`, and if a metric of `WEIGHT_NAMES` is no weight. One of the job's own
            `weight_key` may be anything: what is no weight does not count as one.
    """
    schema, body = upload.job.schema, upload.body
    longest_header = len(codec.encode_header(schema)) + HEADER_SLACK_BYTES
    header = codec.parse(body, longest_header)
    schema.check(header.schema)
    if name := codec.first_nonfinite(body, header):
        raise InvalidTensors(
            f"tensor {name!r} has a NaN, an infinity or a number beyond float32's range; send finite numbers only",
            tensor=name,
        )
    metrics = dict(upload.metrics) if upload.is_ours else merge_metrics(header.metadata, upload.metrics)
    _check_weights(metrics)
    file = codec.Canonical(body, header, keep_header=header.data_offset <= longest_header)
    return CheckedUpload(_as_stored(upload, file), file, metrics, weight_in(metrics, upload.job.weight_key))


def _as_stored(upload: Upload, file: codec.Canonical) -> Upload:
    """Return the upload with the hash of the file that is stored, which is another one if the tensors have to move."""
    if file.is_as_it_came:
        return upload
    digest = hashlib.sha256()
    for piece in file.pieces():
        digest.update(piece)
    return replace(upload, sha256=digest.hexdigest())


def merge_metrics(metadata: Mapping[str, str], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return an update's metrics: those in the file's `__metadata__["metrics"]`, overridden by `metrics`.

    Raises:
        InvalidParameters: if they are not a JSON object of finite numbers, text, lists and objects, or are too long.
    """
    try:
        in_file = json.loads(metadata.get("metrics", "{}"))
    except (ValueError, RecursionError) as error:
        raise InvalidParameters('__metadata__["metrics"] is not JSON') from error
    if not isinstance(in_file, dict):
        raise InvalidParameters('__metadata__["metrics"] must be a JSON object')
    merged = {**in_file, **metrics}
    if (length := len(to_bytes(merged))) > MAX_METRICS_BYTES:
        raise InvalidParameters(f"metrics take {length} bytes; at most {MAX_METRICS_BYTES} are kept")
    return merged


def _check_weights(metrics: Mapping[str, Any]) -> None:
    weights = {name: weight_in(metrics, name) for name in WEIGHT_NAMES if name in metrics}
    for name, weight in weights.items():
        if weight is None:
            raise InvalidParameters(f"{name} is {metrics[name]!r:.80}; use a number from 0 and below {MAX_WEIGHT:g}")
    if len({*weights.values()}) > 1:
        raise InvalidParameters(f"{' and '.join(WEIGHT_NAMES)} differ; send one of them")
