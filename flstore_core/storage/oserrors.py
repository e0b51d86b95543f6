"""The operating system's errors as the store's own."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from flstore_core.errors import InvalidId, StoreFull, StoreUnavailable

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Raise `StoreFull`, `InvalidId` or `StoreUnavailable`, naming `what`, in place of an `OSError`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StoreFull(
                f"{what} could not be written: {error.strerror}; free space on the store's volume"
            ) from error
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidId(f"{what} has too long a name for this file system; shorten it") from error
        raise StoreUnavailable(f"{what} could not be reached: {error.strerror}") from error
