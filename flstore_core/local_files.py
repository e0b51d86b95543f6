"""Files that a user named on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flstore_core.errors import InvalidParameters


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise `InvalidParameters` for what keeps a block from writing to `path`."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error  # libraries tell it at length
        raise InvalidParameters(f"file {str(path)!r} cannot be written: {reason}") from error
