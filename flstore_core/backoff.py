"""Growing pauses between attempts."""

from dataclasses import dataclass


@dataclass
class Backoff:
    """Says how long to pause after each failure in a row: nothing, then `first_s`, doubled up to `most_s`."""

    first_s: float = 0.1
    most_s: float = 30.0
    failures: int = 0
    """Failures since the last success."""

    @property
    def delay_s(self) -> float:
        """Seconds to wait before the next attempt."""
        if not self.failures:
            return 0.0
        return min(self.most_s, self.first_s * 2.0 ** min(self.failures - 1, 60))

    def failed(self) -> None:
        self.failures += 1

    def succeeded(self) -> None:
        self.failures = 0
