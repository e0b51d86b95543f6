"""The newest aggregate of each job, kept by the gateway through which it came.

All clients of a round begin it by fetching the same model, at once (access pattern P1). It has just been stored through
a gateway, or was made in it, so its bytes are there already: they are kept, not copied, and the store reads nothing.
Which file a model lies in is read from the round's record each time, as for any download; only the bytes come from
here. A file's name is its own, and what lies under it never changes, so what is kept cannot be old.

Example, with a budget of 100 MB and models of 40 MB: `mnist` stores the aggregate of round 7, then that of round 8,
which takes its place. `cifar` and `text` store theirs, and that of `mnist`, which was used longest ago, goes.

A file that gave way is in memory until it has been sent to all who asked for it, and a client may take as long as it
likes. So its bytes count until then, and what has no room beside them is not kept. In the example, if a slow client is
still sent round 7 of `mnist`, there is room for one of the three others, and the newest of them has it.

What is kept is handed out as views of an array (`numpy.frombuffer`): all views refer to it, and a finalizer on it tells
when nobody does any more. The finalizer may run at any moment, under the lock too, so it takes none.
"""

import weakref
from collections import OrderedDict, deque
from threading import Lock

import numpy as np

from flstore_core.ids import Home


class Newest:
    """Files by their key in the store, one for each generation of a job. Safe to share between threads.

    Args:
        budget: bytes that they take together at most, those included that gave way and are still being sent.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.requests = 0
        """How often a file was asked for."""
        self.hits = 0
        """How often it was there."""
        self._files: OrderedDict[Home, tuple[str, memoryview]] = OrderedDict()
        self._kept = self._taken = 0
        """Bytes of these files, and of all that are in memory or in `_ended`."""
        self._ended: deque[int] = deque()
        """Bytes of each file that nobody refers to any more. Guarded by no lock."""
        self._lock = Lock()

    @property
    def nbytes(self) -> int:
        """Bytes in memory: of what is kept, and of what is still being sent."""
        with self._lock:
            return self._count_taken()

    def keep(self, home: Home, key: str, body: memoryview) -> None:
        """Keep a file in place of the job's last one, unless there is no room for it."""
        with self._lock:
            self._drop(home)
            being_sent = self._count_taken() - self._kept
            if being_sent + body.nbytes > self.budget:
                return
            while self._files and self._count_taken() + body.nbytes > self.budget:
                self._drop(next(iter(self._files)))
            if self._count_taken() + body.nbytes <= self.budget:
                self._files[home] = (key, self._take(body))
                self._kept += body.nbytes

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

    def _take(self, body: memoryview) -> memoryview:
        """Return a view of the same bytes, which count until nobody refers to it or to a part of it."""
        array = np.frombuffer(body, np.uint8)
        weakref.finalize(array, self._ended.append, body.nbytes).atexit = False
        self._taken += body.nbytes
        return array.data

    def _count_taken(self) -> int:
        while self._ended:
            self._taken -= self._ended.popleft()
        return self._taken

    def _drop(self, home: Home) -> None:
        _, body = self._files.pop(home, ("", memoryview(b"")))
        self._kept -= body.nbytes
