"""What an API server refuses, in this project's tree of errors. All of it is this side's trouble: 503 to callers."""

from flstore_core.errors import Unavailable


class ClusterError(Unavailable):
    """An API server did not do what was asked."""

    reason = "ClusterError"
    """One word for conditions and events."""


class ApiAway(ClusterError):
    """No answer, or one that says to come back."""

    reason = "ApiUnavailable"


class NotPermitted(ClusterError):
    """403: the Role lacks a verb."""

    reason = "Forbidden"


class KindMissing(ClusterError):
    """404 for a whole kind: its definition is not installed."""

    reason = "KindMissing"


class ObjectMissing(ClusterError):
    """404 for one object."""

    reason = "NotFound"


class ObjectConflict(ClusterError):
    """409: it exists already, or somebody changed it meanwhile, or owns the field."""

    reason = "Conflict"


class Gone(ClusterError):
    """410: the version to watch from is too old; list again."""

    reason = "Expired"


class Refused(ClusterError):
    """400 or 422: the object is not acceptable; the message says why."""

    reason = "Invalid"
    retryable = False
