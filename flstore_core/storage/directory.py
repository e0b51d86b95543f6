"""Objects as files under one directory, for a laptop or a shared volume.

A file system has no conditional writes and no atomic writes of content; a rename is atomic. So a put goes

    1  write   root/.flstore/aside/3f2a…    the new bytes, at leisure and outside any lock
    2  fsync   the file                     the bytes are on disk before anything points to them
    3  lock    root/.flstore/lock           flock: excludes all processes that share the directory
    4  check   root/jobs/j/job.json         if_match or if_none_match, now that nobody else can write
    5  rename  aside/3f2a… → jobs/j/job.json
    6  unlock, and fsync the folder         the name is on disk too

A crash before 5 leaves the old object, after 5 the new one, and never a part. A reader takes no lock: it has opened one
file or the other, and that file never changes. What a crash leaves in `aside` is removed at a later start.

Two writers that both create `k` with if_none_match: both pass steps 1 and 2, one gets the lock first and renames, the
other finds the object at step 4 and raises `PreconditionFailed`. Source: T. Pillai et al., "All File Systems Are Not
Created Equal", OSDI 2014, for why the file and then its folder must be synced.
"""

import errno
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from stat import S_ISREG

from flstore_core.errors import InvalidId, NotFound, PreconditionFailed, ShortObject, StoreFull, StoreUnavailable
from flstore_core.storage.base import (
    MIB,
    Body,
    ObjectInfo,
    checked_key,
    checked_prefix,
    folder_to_delete,
    pieces_of,
)

STALE_AFTER_S = 3600.0
"""Age at which what a dead process left aside is removed: longer than any put takes."""

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DirectoryStore:
    """An `ObjectStore` over the directory `root`, which any number of processes may share.

    A put writes aside into `root/.flstore/aside`, syncs, and renames into place, so a crash leaves the old object or
    the new one. Renames and removals happen under one lock file, which makes conditions and the making and removing
    of folders atomic across processes; the bytes themselves are written outside it.

    The etag is modification time in nanoseconds, size and inode. Every put makes a new file with its own time, so
    the etag changes with each put; a copy of the directory has other etags.

    Where `a` is an object, `a/b` cannot be, and the other way round: such a put raises `InvalidId`.
    """

    def __init__(self, root: Path, *, now: Callable[[], float] = time.time) -> None:
        """Create `root` when it is missing, and remove what crashed writers left aside long ago."""
        self._root = root
        self._aside = root / ".flstore" / "aside"
        self._lock_file = root / ".flstore" / "lock"
        with translated(f"store directory {root}"):
            self._aside.mkdir(parents=True, exist_ok=True)
            self._remove_stale(now() - STALE_AFTER_S)

    def __repr__(self) -> str:
        return f"DirectoryStore({str(self._root)!r})"

    def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        path = self._path(key)
        aside = self._aside / uuid.uuid4().hex
        with translated(f"object {key!r}"):
            _check(path, key, if_none_match, if_match)
            try:
                _write(aside, pieces_of(body))
                with ExitStack() as folder:
                    with self._locked():
                        _check(path, key, if_none_match, if_match)
                        self._make_folders(path.parent, key)
                        stat = _move(aside, path, key)
                        # Opened under the lock: once that is free, somebody may delete the folder.
                        number = folder.enter_context(_folder(path.parent))
                    os.fsync(number)
            finally:
                aside.unlink(missing_ok=True)
        return _info(key, stat)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        return b"".join(self.stream(key, offset=offset, length=length, chunk=1 << 30))

    def get_with_info(self, key: str) -> tuple[bytes, ObjectInfo]:
        with self._opened(key) as (file, stat):
            return b"".join(_chunks(key, file, 0, stat.st_size, stat.st_size)), _info(key, stat)

    def read_into(self, key: str, buffer: memoryview, *, offset: int = 0) -> None:
        view = buffer.cast("B")
        with self._opened(key) as (file, stat):
            if stat.st_size < offset + len(view):
                raise ShortObject(
                    f"object {key!r} has {stat.st_size} bytes, so {len(view)} bytes from {offset} cannot be read"
                )
            done = 0
            while done < len(view):
                count = os.preadv(file, [view[done:]], offset + done)
                if count == 0:
                    raise ShortObject(f"object {key!r} was cut short at byte {offset + done} while it was read")
                done += count

    def stream(self, key: str, *, offset: int = 0, length: int | None = None, chunk: int = MIB) -> Iterator[bytes]:
        with self._opened(key) as (file, stat):
            end = stat.st_size if length is None else min(stat.st_size, offset + length)
            yield from _chunks(key, file, offset, end, chunk)

    def stat(self, key: str) -> ObjectInfo:
        with self._opened(key) as (_, stat):
            return _info(key, stat)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        prefix = checked_prefix(prefix)
        for entry in self._entries(prefix):
            key = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if recursive:
                    yield from self.list(key)
                continue
            with suppress(FileNotFoundError):
                yield _info(key, entry.stat(follow_symlinks=False))

    def folders(self, prefix: str = "") -> Iterator[str]:
        prefix = checked_prefix(prefix)
        for entry in self._entries(prefix):
            if entry.is_dir(follow_symlinks=False) and any(self.list(prefix + entry.name)):
                yield entry.name

    def delete(self, key: str) -> None:
        path = self._path(key)
        absent = suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError)
        with translated(f"object {key!r}"), self._locked(), absent:
            path.unlink()
            self._remove_empty(path.parent)

    def delete_prefix(self, prefix: str) -> None:
        folder = folder_to_delete(prefix)
        aside = self._aside / uuid.uuid4().hex
        absent = suppress(FileNotFoundError, NotADirectoryError)
        with translated(f"folder {prefix!r}"):
            with self._locked(), absent:
                os.rename(f"{self._root}/{folder}", aside)  # the closing slash refuses a plain file
                self._remove_empty((self._root / folder).parent)
            shutil.rmtree(aside, ignore_errors=True)

    def purge_history(self, folder: str, concerns: Callable[[str], bool]) -> int:
        """Return 0: what was replaced or deleted is gone."""
        return 0

    def probe(self) -> None:
        if not os.access(self._aside, os.W_OK | os.X_OK):
            raise StoreUnavailable(f"store directory {self._root} is missing or not writable")

    def close(self) -> None:
        """Nothing stays open between calls."""

    def _path(self, key: str) -> Path:
        return self._root / checked_key(key)

    @contextmanager
    def _opened(self, key: str) -> Iterator[tuple[int, os.stat_result]]:
        path = self._path(key)
        with translated(f"object {key!r}"):
            try:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except (FileNotFoundError, NotADirectoryError) as error:
                raise self._missing(key) from error
            try:
                stat = os.fstat(file)
                if not S_ISREG(stat.st_mode):
                    raise self._missing(key)
                yield file, stat
            finally:
                os.close(file)

    def _missing(self, key: str) -> NotFound | StoreUnavailable:
        if not self._aside.is_dir():
            return StoreUnavailable(f"store directory {self._root} is gone; mount or restore it")
        return NotFound(f"object {key!r} does not exist")

    def _entries(self, prefix: str) -> "Iterator[os.DirEntry[str]]":
        with translated(f"folder {prefix!r}"):
            try:
                scan = os.scandir(self._root / prefix)
            except (FileNotFoundError, NotADirectoryError):
                self.probe()
                return
            with closing(scan):
                yield from (entry for entry in scan if not entry.name.startswith("."))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        file = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _make_folders(self, folder: Path, key: str) -> None:
        if folder.is_dir():
            return
        if folder == self._root:
            raise StoreUnavailable(f"store directory {self._root} is gone; mount or restore it")
        self._make_folders(folder.parent, key)
        try:
            folder.mkdir()
        except FileExistsError as error:
            raise InvalidId(f"object key {key!r} lies below another object; choose another key") from error
        _sync(folder.parent)

    def _remove_empty(self, folder: Path) -> None:
        """Remove `folder` and its parents while they are empty, and make the removal durable."""
        with suppress(OSError):
            while folder != self._root:
                folder.rmdir()
                folder = folder.parent
        _sync(folder)

    def _remove_stale(self, before: float) -> None:
        for path in self._aside.iterdir():
            with suppress(FileNotFoundError):
                if path.lstat().st_mtime < before:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


def _check(path: Path, key: str, if_none_match: bool, if_match: str | None) -> None:
    if not if_none_match and if_match is None:
        return
    etag = None  # a folder is no object either; what would replace it is refused when it is moved
    with suppress(FileNotFoundError, NotADirectoryError):
        if S_ISREG((stat := path.stat()).st_mode):
            etag = _info(key, stat).etag
    if if_none_match and etag is not None:
        raise PreconditionFailed(f"object {key!r} already exists")
    if if_match is not None and etag != if_match:
        raise PreconditionFailed(f"object {key!r} has etag {etag}, not {if_match}")


def _write(path: Path, pieces: Iterable[memoryview]) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        for piece in pieces:
            done = 0
            while done < len(piece):
                done += os.write(file, piece[done:])
        # The file system's own clock ticks in milliseconds; an etag needs a finer one.
        os.utime(file, ns=(time.time_ns(), time.time_ns()))
        os.fsync(file)
    finally:
        os.close(file)


def _move(aside: Path, path: Path, key: str) -> os.stat_result:
    try:
        aside.replace(path)
    except IsADirectoryError as error:
        raise InvalidId(f"object key {key!r} is a folder of other objects; choose another key") from error
    return path.stat()


def _chunks(key: str, file: int, offset: int, end: int, chunk: int) -> Iterator[bytes]:
    while offset < end:
        data = os.pread(file, min(chunk, end - offset), offset)
        if not data:
            raise StoreUnavailable(f"object {key!r} was cut short at byte {offset} while it was read")
        offset += len(data)
        yield data


def _sync(folder: Path) -> None:
    with _folder(folder) as file:
        os.fsync(file)


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    """Open a folder, to sync it later even if it has been deleted since."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def _info(key: str, stat: os.stat_result) -> ObjectInfo:
    etag = f"{stat.st_mtime_ns:x}-{stat.st_size:x}-{stat.st_ino:x}"
    return ObjectInfo(key, stat.st_size, etag, stat.st_mtime)


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
