"""The newest aggregate of each job, kept by the gateway through which it came.

All clients of a round begin it by fetching the same model, at once (access pattern P1). It has just been stored through
a gateway, or was made in it, so its bytes are there already: they are kept, not copied, and the store reads nothing.
Which file a model lies in is read from the round's record each time, as for any download; only the bytes come from
here. A file's name is its own, and what lies under it never changes, so what is kept cannot be old.

Example, with a budget of 100 MB and models of 40 MB: `mnist` stores the aggregate of round 7, then that of round 8,
which takes its place. `cifar` and `text` store theirs, and that of `mnist`, which was used longest ago, goes.
"""

from collections import OrderedDict
from threading import Lock

from flstore_core.ids import Home


class Newest:
    """Files by their key in the store, one for each generation of a job. Safe to share between threads.

    Args:
        budget: bytes that they take together at most.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.nbytes = 0
        """Bytes that are kept."""
        self.requests = 0
        """How often a file was asked for."""
        self.hits = 0
        """How often it was there."""
        self._files: OrderedDict[Home, tuple[str, memoryview]] = OrderedDict()
        self._lock = Lock()

    def keep(self, home: Home, key: str, body: memoryview) -> None:
        """Keep a file in place of the job's last one, unless it is larger than the budget."""
        with self._lock:
            self._drop(home)
            if body.nbytes > self.budget:
                return
            while self.nbytes + body.nbytes > self.budget:
                self._drop(next(iter(self._files)))
            self._files[home] = (key, body)
            self.nbytes += body.nbytes

    def get(self, home: Home, key: str) -> memoryview | None:
        """Return a file's bytes if they are kept."""
        with self._lock:
            self.requests += 1
            kept_key, body = self._files.get(home, ("", None))
            if kept_key != key:
                return None
            self.hits += 1
            self._files.move_to_end(home)
            return body

    def forget(self, home: Home) -> None:
        """Drop what is kept of a job's generation."""
        with self._lock:
            self._drop(home)

    def _drop(self, home: Home) -> None:
        _, body = self._files.pop(home, ("", memoryview(b"")))
        self.nbytes -= body.nbytes
