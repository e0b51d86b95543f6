"""How long a round may still wait for the store."""

import threading
import time
from collections.abc import Callable


class Patience:
    """Seconds that waiting uses up."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.left_s = seconds
        self._clock = clock

    def wait(self, changed: threading.Condition, is_so: Callable[[], bool]) -> bool:
        """Wait until something is so; return False if patience ends before. The caller holds the condition's lock."""
        began = self._clock()
        result = changed.wait_for(is_so, max(self.left_s, 0.0))
        self.left_s -= self._clock() - began
        return result
