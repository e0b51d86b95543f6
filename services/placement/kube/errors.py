"""What an API server refuses, as part of FLStore's tree of errors, and which of these errors stand now.

Callers of the controller get 503 for every `ClusterError`, because the cluster is at fault and not their request.
"""

import logging
from collections.abc import Callable

from flstore_core.errors import Unavailable

logger = logging.getLogger(__name__)


class ClusterError(Unavailable):
    """An API server did not do what was asked."""

    reason = "ClusterError"
    """One CamelCase word for conditions and events."""


class ApiAway(ClusterError):
    """The server did not answer, or asked to come back later."""

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
    """409: the object exists already, has changed since it was read, or another manager owns the field."""

    reason = "Conflict"


class Gone(ClusterError):
    """410: the server no longer knows the version to watch from; list again."""

    reason = "Expired"


class Refused(ClusterError):
    """400 or 422: the object is invalid; the message says why."""

    reason = "Invalid"
    retryable = False


class StandingErrors:
    """The errors that stand now, by the activity that fails because of them. Used from one event loop.

    A loop that fails every two seconds reports each failure. Only the first of a kind is logged and announced:

        errors.report("watching pods", NotPermitted(...))   # logged, announced
        errors.report("watching pods", NotPermitted(...))   # the same kind again: silent
        errors.clear("watching pods")                       # logged: works again
    """

    def __init__(self, announce: Callable[[ClusterError], None]) -> None:
        """`announce` gets each error of a new kind."""
        self._announce = announce
        self._errors: dict[str, ClusterError] = {}

    def report(self, activity: str, error: ClusterError) -> None:
        """Note that `activity` fails."""
        before = self._errors.get(activity)
        self._errors[activity] = error
        if before is None or before.reason != error.reason:
            logger.warning("%s: %s", activity, error)
            self._announce(error)

    def clear(self, activity: str) -> None:
        """Note that `activity` works."""
        if self._errors.pop(activity, None):
            logger.info("%s: works again", activity)

    def __bool__(self) -> bool:
        return bool(self._errors)

    def summarize(self) -> tuple[str, str]:
        """Return the reason of the oldest error and the messages of all. Call only while an error stands."""
        oldest = next(iter(self._errors.values()))
        return oldest.reason, "; ".join(str(error) for error in self._errors.values())
