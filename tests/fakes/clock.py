"""Time that passes only when somebody sleeps, or when the test says so."""


class Clock:
    """A clock and the sleep that belongs to it: call it for the time, `sleep` to let time pass."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        """Seconds."""
        self.pauses: list[float] = []
        """Every pause that was slept, in order."""

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class FakeTime:
    """A service's `Time` by a `Clock`: sleeping takes no time, but lets the clock's pass."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or Clock(1_790_000_000.0)

    def now(self) -> float:
        return self.clock.now

    def monotonic(self) -> float:
        return self.clock.now

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)
