"""What the directory store promises beyond the contract: crashes, processes, files."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidId, PreconditionFailed, ShortObject, StoreFull, StoreUnavailable
from flstore_core.storage import DirectoryStore, directory
from flstore_core.storage.directory import translated
from tests.servers import wait_until

FOREVER_PUTTING = """
import sys; from pathlib import Path; from flstore_core.storage import DirectoryStore
store = DirectoryStore(Path(sys.argv[1]))
while True:
    for letter in (b"a", b"b"):
        store.put("x/k", letter * 4_000_000)
"""

INCREMENTING = """
import sys; from pathlib import Path; from flstore_core.errors import PreconditionFailed
from flstore_core.storage import DirectoryStore
store = DirectoryStore(Path(sys.argv[1]))
for _ in range(25):
    while True:
        data, info = store.get_with_info("counter")
        try:
            store.put("counter", b"%d" % (int(data) + 1), if_match=info.etag)
            break
        except PreconditionFailed:
            pass
"""


def start(program: str, root: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", program, str(root)])


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file() and path.name != "lock"]


def test_a_writer_killed_at_any_moment_leaves_a_whole_object(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for seen in range(5):
        process = start(FOREVER_PUTTING, tmp_path)
        try:
            wait_until(lambda: bool(files(tmp_path / ".flstore")), "a put under way")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert [info.size for info in store.list()] in ([], [4_000_000]), seen
        if list(store.list()):
            assert store.get("x/k") in (b"a" * 4_000_000, b"b" * 4_000_000)
    store.put("x/k", b"unharmed")
    assert store.get("x/k") == b"unharmed"


def test_what_a_dead_writer_left_is_removed_when_old_and_never_listed(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    left = tmp_path / ".flstore" / "aside" / "left"
    left.write_bytes(b"half")
    folder = tmp_path / ".flstore" / "aside" / "folder"
    (folder / "deep").mkdir(parents=True)
    assert not list(store.list())
    assert not list(store.folders())
    age = left.stat().st_mtime
    DirectoryStore(tmp_path, now=lambda: age + 3599)
    assert left.exists()
    DirectoryStore(tmp_path, now=lambda: age + 4000)
    assert not left.exists()
    assert not folder.exists()


def test_processes_swap_without_losing_an_increment(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("counter", b"0")
    processes = [start(INCREMENTING, tmp_path) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert store.get("counter") == b"75"


def test_puts_and_deletes_leave_nothing_behind(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("a/b/c", b"1")
    store.put("a/b/d", b"1")
    store.put("e/f", b"1")
    store.delete("a/b/c")
    store.delete_prefix("a")
    store.delete("e/f")
    assert not list(store.folders())
    assert not files(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".flstore"]


def test_a_full_volume_is_told_and_the_old_object_stays(tmp_path: Path) -> None:
    program = """
import resource, signal, sys; from pathlib import Path; from flstore_core.errors import StoreFull
from flstore_core.storage import DirectoryStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    DirectoryStore(Path(sys.argv[1])).put("k", bytes(2_000_000))
except StoreFull as error:
    sys.exit(0 if "'k'" in error.detail and not error.retryable else 1)
"""
    store = DirectoryStore(tmp_path)
    store.put("k", b"old")
    assert start(program, tmp_path).wait() == 0
    assert store.get("k") == b"old"
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space_and_no_quota_are_a_full_store(number: int) -> None:
    with pytest.raises(StoreFull, match="object 'k' could not be written") as caught, translated("object 'k'"):
        raise OSError(number, os.strerror(number))
    assert isinstance(caught.value.__cause__, OSError)


def test_an_object_cannot_be_a_folder_too(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("a/b", b"1")
    for key in ["a", "a/b/c", "a/b/c/d"]:
        for if_none_match in (False, True):
            with pytest.raises(InvalidId, match="another key"):
                store.put(key, b"2", if_none_match=if_none_match)
        with pytest.raises(PreconditionFailed, match="has etag None"):
            store.put(key, b"2", if_match="an etag")
    assert [info.key for info in store.list()] == ["a/b"]
    assert len(files(tmp_path)) == 1


class Raced(DirectoryStore):
    """A store in which somebody else always acts the moment that a put has let go of the lock."""

    def __init__(self, root: Path, act: Callable[[], None]) -> None:
        super().__init__(root)
        self._act = act

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with super()._locked():
            yield
        self._act()


def test_a_put_succeeds_though_its_folder_is_deleted_at_once(tmp_path: Path) -> None:
    other = DirectoryStore(tmp_path)
    store = Raced(tmp_path, lambda: other.delete_prefix("jobs"))
    assert store.put("jobs/j/job.json", b"{}").size == 2
    assert list(other.list()) == []
    assert files(tmp_path) == []


def test_a_file_that_is_cut_while_it_is_read_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryStore(tmp_path)
    store.put("k", b"123456")
    chunks = store.stream("k", chunk=2)
    next(chunks)
    os.truncate(tmp_path / "k", 3)
    with pytest.raises(StoreUnavailable, match="'k' was cut short at byte 3"):
        list(chunks)
    whole = os.stat_result((0o100644, 0, 0, 1, 0, 0, 6, 0, 0, 0))
    monkeypatch.setattr(directory, "os", SimpleNamespace(**{**vars(os), "fstat": lambda _: whole}))
    with pytest.raises(ShortObject, match="'k' was cut short at byte 3"):
        store.read_into("k", memoryview(bytearray(6)))


def test_a_root_that_vanished_is_unavailable_rather_than_empty(tmp_path: Path) -> None:
    root = tmp_path / "mounted"
    store = DirectoryStore(root)
    store.put("a/k", b"1")
    root.rename(tmp_path / "unmounted")
    asks: list[Callable[[], object]] = [
        store.probe,
        lambda: store.get("a/k"),
        lambda: store.put("a/k", b""),
        lambda: store.delete("a/k"),
        lambda: store.delete_prefix("a"),
        lambda: list(store.list()),
        lambda: list(store.folders("a")),
    ]
    for ask in asks:
        with pytest.raises(StoreUnavailable):
            ask()


def test_a_root_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="store directory"):
        DirectoryStore(tmp_path / "file" / "store")


@given(key=st.text(max_size=12) | st.text(alphabet="./a\\", max_size=9))
def test_any_text_is_refused_as_key_or_stays_below_the_root(key: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        store = DirectoryStore(root)
        try:
            store.put(key, b"1")
        except InvalidId:
            assert files(Path(name)) == []
        else:
            assert files(Path(name)) == [root / key]
            assert (root / key).resolve().is_relative_to(root.resolve())
            assert [info.key for info in store.list()] == [key]


@given(
    body=st.binary(max_size=200),
    offset=st.integers(0, 250),
    length=st.none() | st.integers(0, 250),
    chunk=st.integers(1, 50),
)
def test_any_range_is_a_slice(body: bytes, offset: int, length: int | None, chunk: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        store = DirectoryStore(Path(name))
        store.put("k", body)
        expected = body[offset:][:length]
        assert store.get("k", offset=offset, length=length) == expected
        assert b"".join(store.stream("k", offset=offset, length=length, chunk=chunk)) == expected
