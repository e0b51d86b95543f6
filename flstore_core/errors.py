"""The one error tree. A class carries its HTTP status, its stable code and whether trying again can help.

Messages name the offending key and value, and what would be right. Services turn these into RFC 9457 problems in
one place; a client turns a problem back into the same class by its code.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final

PROBLEM_TYPE: Final = "urn:flstore:problem:"
"""The `type` of a problem is this and its code: it tells our problems from those of whatever stands in between."""


class FLStoreError(Exception):
    """Root of every error this project raises on purpose."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, **extensions: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extensions = extensions


class InvalidId(FLStoreError):
    status, code, title = 422, "invalid-id", "A name or number is not usable"


class InvalidParameters(FLStoreError):
    status, code, title = 422, "invalid-parameters", "Parameters do not fit"


class InvalidTensors(FLStoreError):
    status, code, title = 422, "invalid-tensors", "The body is not acceptable safetensors"


class DigestMismatch(FLStoreError):
    status, code, title = 422, "digest-mismatch", "The body is not the one that was sent"
    retryable = True


class SchemaMismatch(FLStoreError):
    status, code, title = 422, "schema-mismatch", "Tensors do not match the job's schema"


class InvalidProgram(FLStoreError):
    status, code, title = 422, "invalid-program", "The exported program is not acceptable"


class InvalidArchive(FLStoreError):
    status, code, title = 422, "invalid-archive", "The file is no whole archive of a job"


class RunTooLong(FLStoreError):
    status, code, title = 422, "run-too-long", "Running the models takes longer than a run may"


class RunTooLarge(FLStoreError):
    status, code, title = 507, "run-too-large", "Running the models takes more memory than a run may"


class NotEnoughData(FLStoreError):
    status, code, title = 422, "not-enough-data", "The workload needs more data than is stored"


class Unauthorized(FLStoreError):
    status, code, title = 401, "unauthorized", "A valid bearer token is needed"


class Forbidden(FLStoreError):
    status, code, title = 403, "forbidden", "The token does not allow this"


class ProofRefused(FLStoreError):
    status, code, title = (
        403,
        "proof-refused",
        "The request does not come from a service of this deployment",
    )
    retryable = True


class NotFound(FLStoreError):
    status, code, title = 404, "not-found", "No such thing"


class ShortObject(NotFound):
    code, title = "short-object", "The object ends before the range asked for"


class Conflict(FLStoreError):
    status, code, title = 409, "conflict", "The request contradicts what is stored"


class RoundCommitted(Conflict):
    code, title = "round-committed", "The round is committed and immutable"


class PreconditionFailed(Conflict):
    status, code, title = 412, "precondition-failed", "The object is not in the expected state"


class TooLarge(FLStoreError):
    status, code, title = 413, "too-large", "The body is over the size limit"


class TooSlow(FLStoreError):
    status, code, title = 408, "too-slow", "The body did not come in time"
    retryable = True


class LengthRequired(FLStoreError):
    status, code, title = 411, "length-required", "Content-Length is needed"


class RangeNotSatisfiable(FLStoreError):
    status, code, title = 416, "range-not-satisfiable", "The range lies outside of the object"


class Busy(FLStoreError):
    status, code, title = 429, "busy", "Too much is in flight"
    retryable = True


class Unavailable(FLStoreError):
    status, code, title = 503, "unavailable", "A part of the system cannot be reached"
    retryable = True


class ForeignAnswer(Unavailable):
    """Something in between has answered, such as an ingress whose route is being remade, and no service of ours.

    Whoever reads the problem learns of its parent: it has no code of its own.
    """


class BackendSilent(Unavailable):
    code, title = "backend-silent", "A shard or predictor has not answered for some time"


class StoreUnavailable(Unavailable):
    code, title = "store-unavailable", "The object store cannot be reached"


class StoreFull(StoreUnavailable):
    status, code, title = 507, "store-full", "The object store has no space left"
    retryable = False


class UnsuitableStore(FLStoreError):
    code, title = "unsuitable-store", "The object store does not keep conditional writes"


class OperationCancelled(FLStoreError):
    status, code, title = 409, "operation-cancelled", "The operation was cancelled"


class NotAcceptable(FLStoreError):
    status, code, title = 406, "not-acceptable", "The answer cannot be given in that form"


class TooExpensive(FLStoreError):
    status, code, title = 422, "too-expensive", "The question would take too much"


class GatewaysLost(FLStoreError):
    status, code, title = 500, "gateways-lost", "Gateways ended while they worked on this"


class InsufficientCapacity(FLStoreError):
    status, code, title = 507, "insufficient-capacity", "No shard can hold this"


class NoPredictor(FLStoreError):
    status, code, title = 501, "no-predictor", "This deployment runs no models"


class NewerFormat(FLStoreError):
    status, code, title = 501, "newer-format", "A later version of FLStore wrote this"


class BrokenWorkload(FLStoreError):
    code, title = "broken-workload", "A workload does not keep to its contract"


def unknown(kind: str, name: str, known: Iterable[str]) -> NotFound:
    """Return a `NotFound` for `name` that suggests the nearest of the `known` names, whatever its capitals."""
    from difflib import get_close_matches

    by_small = {each.casefold(): each for each in known}
    nearest = [by_small[each] for each in get_close_matches(name.casefold(), list(by_small), n=3, cutoff=0.4)]
    hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
    return NotFound(f"{kind} {name!r} does not exist{hint}", nearest=nearest)


def without_base(job: str, number: int) -> NotEnoughData:
    """Return what a question about models is told whose round has differences, and no model to add them to."""
    return NotEnoughData(
        f"the updates of round {number} of job {job!r} are differences from a model that is not stored; start a job "
        "with its initial model as the aggregate of round 0, and send updates from round 1 on"
    )


def from_problem(problem: Any) -> FLStoreError:
    """Return the error that an RFC 9457 problem document describes, with its further fields as extensions.

    The document comes from outside: a value that is no object, or a field of another type, says nothing.
    """
    fields = problem if isinstance(problem, Mapping) else {}
    status = fields.get("status")
    by_status = _BY_STATUS.get(status, FLStoreError) if isinstance(status, int) else FLStoreError
    kind = _by_code().get(str(fields.get("code"))) or by_status
    error = kind(str(fields.get("detail") or fields.get("title") or "no detail was given"))
    error.extensions.update({name: value for name, value in fields.items() if name not in _PROBLEM_FIELDS})
    return error


def from_response(status: int, body: bytes | bytearray, headers: Mapping[str, str] | None = None) -> FLStoreError:
    """Return the error that an unsuccessful HTTP response stands for.

    A problem of ours becomes its own class, or that of its response's status if its code is none that is known here.
    Everything else, a redirect or half a problem too, did not come from a service, and says nothing about what was
    asked for: it becomes a `ForeignAnswer`.
    """
    problem = _object_in(body)
    if status < 400 or not str(problem.get("type")).startswith(PROBLEM_TYPE):
        return foreign_answer(status, body, headers or {})
    return from_problem({**problem, "status": status})


def foreign_answer(status: int, body: bytes | bytearray, headers: Mapping[str, str]) -> ForeignAnswer:
    """Return the error for a response that no service of ours gave; it shows the response's beginning."""
    location = next((value for name, value in headers.items() if name.lower() == "location"), "")
    shown = f"-> {location[:200]}" if location else bytes(body[:200]).decode(errors="replace")
    return ForeignAnswer(f"the server answered {status} {shown}".rstrip())


def _object_in(body: bytes | bytearray) -> Mapping[str, Any]:
    """Return the JSON object that a body holds; empty if it holds none."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


_PROBLEM_FIELDS = frozenset({"type", "title", "status", "detail", "code"})

_BY_STATUS: Mapping[int, type[FLStoreError]] = {
    error.status: error
    for error in (Unauthorized, Forbidden, NotFound, Conflict, PreconditionFailed, TooSlow, TooLarge, Busy, Unavailable)
} | {502: Unavailable, 504: Unavailable}
"""For problems of a later version, whose codes are not known here."""


def _by_code() -> Mapping[str, type[FLStoreError]]:
    """Return each code's class: of those that share a code with their parent, the parent."""
    classes: dict[str, type[FLStoreError]] = {}
    for error in _tree(FLStoreError):
        classes.setdefault(error.code, error)
    return classes


def _tree(root: type[FLStoreError]) -> Iterator[type[FLStoreError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)
