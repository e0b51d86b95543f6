"""An export or import that was cut off goes on where it was, and what was taken away meanwhile is in no archive."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from starlette.requests import Request

from flstore_core.archives import export_job, import_job
from flstore_core.archives.exporting import ATTEMPTS
from flstore_core.errors import Conflict, InvalidParameters, NotFound, Unavailable
from flstore_core.ids import ClientId
from tests.archives.jobs import CLIENTS, described, fill, model
from tests.archives.test_round_trip import objects
from tests.integrations.door import Door
from tests.waiting import eventually


@contextmanager
def held(door: Door, method: str, path: str, command: Sequence[str]) -> Iterator[None]:
    """Run `flstore` as a process until it makes a request, which is not answered; then kill it."""
    door.held = lambda request: (request.method, request.url.path) == (method, path)
    door.seen.clear()
    process = subprocess.Popen([sys.executable, "-m", "flstore_core.cli", *command, "--url", door.url])
    try:
        eventually(lambda: (method, path) in door.seen, 60.0)
        yield
    finally:
        process.kill()
        process.wait()
        door.held = lambda request: False
        door.let_go.set()
        door.seen.clear()


def asked(door: Door, method: str, ending: str = "") -> list[str]:
    return [path for seen, path in door.seen if seen == method and path.endswith(ending)]


def test_an_export_that_is_killed_goes_on_where_it_was(laptop: Door, tmp_path: Path) -> None:
    fill(laptop.store)
    archive = tmp_path / "a.tar"
    with held(laptop, "GET", "/v1/jobs/job/rounds/2/clients/c3", ["export", "archive", "job", str(archive)]):
        assert not archive.exists()
    exported = export_job(laptop.store, "job", archive)
    assert exported.kept > 0
    assert not asked(laptop, "GET", "/rounds/1/clients/c1")
    assert asked(laptop, "GET", "/rounds/2/clients/c3")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]
    export_job(laptop.store, "job", tmp_path / "b.tar")
    assert archive.read_bytes() == (tmp_path / "b.tar").read_bytes()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v1/jobs/job"),
        ("PUT", "/v1/jobs/job/datasets/digits"),
        ("PUT", "/v1/jobs/job/rounds/2/clients/c3"),
        ("PUT", "/v1/jobs/job/rounds/2/aggregate"),
        ("POST", "/v1/jobs/job/rounds/2/commit"),
    ],
)
def test_an_import_that_is_killed_goes_on_where_it_was(
    laptop: Door, cluster: Door, tmp_path: Path, method: str, path: str
) -> None:
    fill(laptop.store)
    laptop.store.put_dataset("job", "digits", {"inputs": np.eye(4, dtype=np.float32)})
    export_job(laptop.store, "job", tmp_path / "a.tar")
    with held(cluster, method, path, ["import", str(tmp_path / "a.tar")]):
        pass
    imported = import_job(cluster.store, tmp_path / "a.tar")
    assert bool(asked(cluster, "PUT", "/rounds/1/clients/c1")) == (path.count("/") == 3 or "datasets" in path)
    assert imported.sent == len([each for each in asked(cluster, "PUT") if each != "/v1/jobs/job"])
    assert described(cluster.store) == described(laptop.store)
    assert import_job(cluster.store, tmp_path / "a.tar").sent == 0


def unfinished(laptop: Door, tmp_path: Path) -> bytes:
    """Return an archive of a job of one round."""
    fill(laptop.store, rounds=1)
    export_job(laptop.store, "job", tmp_path / "a.tar")
    laptop.seen.clear()
    return (tmp_path / "a.tar").read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.5, 0.77, 0.99, 1.0])
def test_whatever_was_written_before_it_comes_to_the_same(laptop: Door, tmp_path: Path, share: float) -> None:
    whole = unfinished(laptop, tmp_path)
    (tmp_path / "a.tar.part").write_bytes(whole[: int(share * len(whole))])
    exported = export_job(laptop.store, "job", tmp_path / "a.tar", piece_bytes=100)
    assert (tmp_path / "a.tar").read_bytes() == whole
    assert (exported.kept > 0) == (share >= 0.2)


@pytest.mark.parametrize("place", [3, 200, 600, 3000])
def test_what_was_damaged_meanwhile_is_written_anew(laptop: Door, tmp_path: Path, place: int) -> None:
    whole = unfinished(laptop, tmp_path)
    damaged = bytearray(whole)
    damaged[place] ^= 1
    (tmp_path / "a.tar.part").write_bytes(damaged)
    export_job(laptop.store, "job", tmp_path / "a.tar")
    assert (tmp_path / "a.tar").read_bytes() == whole


def test_a_client_that_was_erased_meanwhile_is_not_in_it(laptop: Door, tmp_path: Path) -> None:
    fill(laptop.store)
    archive = tmp_path / "a.tar"
    with held(laptop, "GET", "/v1/jobs/job/rounds/3/aggregate", ["export", "archive", "job", str(archive)]):
        pass
    gone = {member.sha256 for number in (1, 2, 3) for member in laptop.store.round("job", number).members}
    laptop.store.erase_client("job", "c2")
    gone -= {member.sha256 for number in (1, 2, 3) for member in laptop.store.round("job", number).members}
    export_job(laptop.store, "job", archive)
    assert len(gone) == 3
    assert not {f"objects/{sha256}" for sha256 in gone} & objects(archive)
    assert not any(bytes.fromhex(sha256) in archive.read_bytes() for sha256 in gone)


def while_asked(door: Door, method: str, path: str, change: Callable[[], object]) -> None:
    """Have `change` happen when a request is first made, before it is answered."""
    happened = threading.Event()

    def then_let_go() -> None:
        change()
        door.let_go.set()

    def happens(request: Request) -> bool:
        if (request.method, request.url.path) == (method, path) and not happened.is_set():
            happened.set()
            threading.Thread(target=then_let_go).start()
            return True
        return False

    door.held = happens


def test_an_erasure_while_it_is_written_cuts_it_back(laptop: Door, cluster: Door, tmp_path: Path) -> None:
    fill(laptop.store)
    while_asked(laptop, "GET", "/v1/jobs/job/rounds/3/aggregate", lambda: laptop.store.erase_client("job", "c1"))
    export_job(laptop.store, "job", tmp_path / "a.tar")
    import_job(cluster.store, tmp_path / "a.tar")
    assert described(cluster.store)["rounds"][3] == described(laptop.store)["rounds"][3]
    assert {each.client for each in cluster.store.round("job", 1).members} == {*CLIENTS} - {"c1"}


def test_an_update_that_comes_while_it_is_written_is_left_out(laptop: Door, cluster: Door, tmp_path: Path) -> None:
    fill(laptop.store)
    before = described(laptop.store)
    while_asked(
        laptop, "GET", "/v1/jobs/job/rounds/4/clients/c1", lambda: laptop.store.put_update("job", 4, "late", model(5))
    )
    export_job(laptop.store, "job", tmp_path / "a.tar")
    import_job(cluster.store, tmp_path / "a.tar")
    assert described(cluster.store) == before


def test_a_data_set_that_is_replaced_while_it_is_written_is_the_one_in_it(laptop: Door, tmp_path: Path) -> None:
    fill(laptop.store, rounds=1)
    laptop.store.put_dataset("job", "digits", {"inputs": np.eye(4, dtype=np.float32)})

    def replace() -> None:
        laptop.store.put_dataset("job", "digits", {"inputs": np.ones((4, 4), np.float32)})

    while_asked(laptop, "GET", "/v1/jobs/job/rounds/1/aggregate", replace)
    export_job(laptop.store, "job", tmp_path / "a.tar")
    [dataset] = laptop.store.datasets("job")
    assert f"objects/{dataset.sha256}" in objects(tmp_path / "a.tar")
    assert len(objects(tmp_path / "a.tar")) == 9


def test_a_job_made_anew_while_it_is_written_is_the_one_in_it(laptop: Door, cluster: Door, tmp_path: Path) -> None:
    fill(laptop.store)

    def make_anew() -> None:
        laptop.store.delete_job("job")
        laptop.gateway.time.sleep(1.0)
        fill(laptop.store, rounds=1)

    while_asked(laptop, "GET", "/v1/jobs/job/rounds/1/aggregate", make_anew)
    export_job(laptop.store, "job", tmp_path / "a.tar")
    import_job(cluster.store, tmp_path / "a.tar")
    assert described(cluster.store) == described(laptop.store)


def test_a_file_that_the_store_has_lost_ends_the_export_and_is_named(laptop: Door, tmp_path: Path) -> None:
    fill(laptop.store, rounds=1)
    store = laptop.gateway.store
    for key in [key for key in store.contents if "/c2~" in key]:
        store.delete(key)
    laptop.seen.clear()
    with pytest.raises(Unavailable, match="lost something each time"):
        export_job(laptop.store, "job", tmp_path / "a.tar")
    assert len(asked(laptop, "GET", "/clients/c2")) == ATTEMPTS
    assert not (tmp_path / "a.tar").exists()


def test_a_file_that_arrives_damaged_is_not_kept(laptop: Door, tmp_path: Path) -> None:
    fill(laptop.store, rounds=1)
    store = laptop.gateway.store
    [key] = [key for key in store.contents if "/c2~" in key]
    whole = store.contents[key]
    store.put(key, whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(Unavailable, match="/clients/c2 arrived with the SHA-256"):
        export_job(laptop.store, "job", tmp_path / "a.tar")
    store.put(key, whole)
    export_job(laptop.store, "job", tmp_path / "a.tar")
    export_job(laptop.store, "job", tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_job_or_folder_that_is_not_there_leaves_no_archive(laptop: Door, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="'job' does not exist"):
        export_job(laptop.store, "job", tmp_path / "a.tar")
    assert not (tmp_path / "a.tar").exists()
    with pytest.raises(InvalidParameters, match="cannot be written: No such file"):
        export_job(laptop.store, "job", tmp_path / "no" / "a.tar")


def test_files_are_fetched_in_pieces_and_count_once(laptop: Door, tmp_path: Path) -> None:
    fill(laptop.store, rounds=1)
    laptop.seen.clear()
    moved: list[tuple[str, int, int]] = []
    exported = export_job(
        laptop.store, "job", tmp_path / "a.tar", piece_bytes=50, progress=lambda *report: moved.append(report)
    )
    nbytes = laptop.store.round("job", 1).by_client[ClientId("c1")].nbytes
    assert len(asked(laptop, "GET", "/rounds/1/clients/c1")) == -(-nbytes // 50)
    assert moved[-1][1] < exported.nbytes
    assert all(stage == "exporting" and done <= total for stage, done, total in moved)
    assert [done for _, done, _ in moved] == sorted(done for _, done, _ in moved)


def test_somebody_who_writes_into_the_job_meanwhile_is_told_of(laptop: Door, cluster: Door, tmp_path: Path) -> None:
    fill(laptop.store, rounds=1)
    export_job(laptop.store, "job", tmp_path / "a.tar")
    other = cluster.store
    while_asked(cluster, "POST", "/v1/jobs/job/rounds/1/commit", lambda: other.put_update("job", 1, "c9", model(9)))
    with pytest.raises(
        Conflict, match="job 'job' is written by somebody else too: its round 1 has another model of 'c9'"
    ):
        import_job(cluster.store, tmp_path / "a.tar")
