"""The parts of the study: says how far it is, and notes which failed, for the page to tell."""

import math
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from rich.console import Console

from flstore_core.errors import FLStoreError
from tests.frameworks.processes import end_every_program

T = TypeVar("T")
FAILURES = (AssertionError, FLStoreError, RuntimeError, subprocess.SubprocessError, TimeoutError)
"""What a part may end with, whose programs fail or take too long."""
TRIES = 2
LONGEST_S = 740.0
"""Seconds after which no part begins: the longest takes two minutes, setting up less than one."""


class Steps:
    """Takes parts from any thread.

    Attributes:
        problems: the parts that failed, even once, or were left out, in words.
    """

    def __init__(self, console: Console, longest_s: float = LONGEST_S) -> None:
        self.problems: list[str] = []
        self._console = console
        self._longest_s = longest_s
        self._began = time.monotonic()

    def take(self, name: str, work: Callable[[], T], told: Callable[[T], str] = lambda _: "done") -> T | None:
        """Do a part, again if it fails once; return None if it fails or there is no time, so that others go on.

        Args:
            told: what came of it, in words.
        """
        began, failures = time.monotonic(), list[str]()
        while len(failures) < TRIES:
            if time.monotonic() - self._began > self._longest_s:
                failures.append("no time was left for it")
                break
            try:
                result = work()
            except FAILURES as error:
                failures.append((str(error) or type(error).__name__).partition("\n")[0])
                self.tell(f"{name}: failed: {error}")
            else:
                self.problems += [f"{name}: it was done again, because {each}." for each in failures]
                self.tell(f"{name}: {told(result)} ({time.monotonic() - began:.0f} s)")
                return result
        self.problems.append(f"{name}: nothing came of it, because {', then '.join(failures)}.")
        self.tell(self.problems[-1])
        return None

    def stop(self) -> None:
        """Begin no further part, and end those that run."""
        self._longest_s = -math.inf
        end_every_program()

    def tell(self, text: str) -> None:
        """Say something, with the minutes and seconds since the beginning."""
        minutes, seconds = divmod(round(time.monotonic() - self._began), 60)
        self._console.print(f"{minutes:2}:{seconds:02} {text}", markup=False, highlight=False, soft_wrap=True)


def side_by_side(works: Sequence[Callable[[], T]], at_once: int = 0) -> list[T]:
    """Do works in threads, all of them or some at once, and return what they return in their order."""
    with ThreadPoolExecutor(at_once or len(works)) as pool:
        return list(pool.map(lambda work: work(), works))
