"""What is wrong between the controller and the cluster at this moment."""

import logging
from collections.abc import Callable

from services.placement.kube.errors import ClusterError

logger = logging.getLogger(__name__)


class Troubles:
    """The standing errors, by what they keep from working. Used from one event loop."""

    def __init__(self, told: Callable[[ClusterError], None]) -> None:
        """`told` hears of every error that is new."""
        self._told = told
        self._standing: dict[str, ClusterError] = {}

    def arose(self, what: str, error: ClusterError) -> None:
        """Note that `what` fails; said once for as long as the kind of error stays the same."""
        before = self._standing.get(what)
        self._standing[what] = error
        if before is None or before.reason != error.reason:
            logger.warning("%s: %s", what, error)
            self._told(error)

    def ended(self, what: str) -> None:
        """Note that `what` works."""
        if self._standing.pop(what, None):
            logger.info("%s: works again", what)

    def __bool__(self) -> bool:
        return bool(self._standing)

    @property
    def summary(self) -> tuple[str, str]:
        """The first error's reason, and all messages."""
        first = next(iter(self._standing.values()))
        return first.reason, "; ".join(str(error) for error in self._standing.values())
