"""Executors without threads, for tests that decide when work is done."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class InlineExecutor(Executor):
    """Does the work in the caller's thread, before `submit` returns."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class HeldExecutor(Executor):
    """Keeps work until the test calls `run_all`.

    Args:
        submitted: called whenever work comes in, such as to let a fake clock go on.
    """

    def __init__(self, submitted: Callable[[], object] = lambda: None) -> None:
        self._submitted = submitted
        self._held: list[Callable[[], None]] = []

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)

        self._held.append(work)
        self._submitted()
        return future

    def __len__(self) -> int:
        return len(self._held)

    def run_all(self) -> None:
        """Do all kept work, in the order in which it was submitted."""
        while self._held:
            self._held.pop(0)()


class LazyExecutor(Executor):
    """Does the work when somebody asks for its result, in their thread: for work that is submitted under a lock."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return _LazyFuture(partial(fn, *args, **kwargs))


class _LazyFuture(Future[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__()
        self._work = work
        self._works = False

    def result(self, timeout: float | None = None) -> T:
        if self._works and timeout is not None:
            raise TimeoutError  # another thread, which stands still, is doing the work
        if not self.done():
            self._works = True
            try:
                self.set_result(self._work())
            except Exception as error:
                self.set_exception(error)
            finally:
                self._works = False
        return super().result(timeout)
