"""A job that is taken from one gateway to another is the same job there."""

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from flstore_core.archives import export_job, import_job
from flstore_core.client import FLStore, paths
from flstore_core.errors import Conflict
from tests.archives.jobs import answers, described, fill, model
from tests.integrations.door import Door
from tests.models import small


def moved(laptop: Door, cluster: Door, tmp_path: Path, job: str = "job") -> FLStore:
    """Take a job from the laptop to the cluster, and return a client of the cluster."""
    export_job(laptop.store, job, tmp_path / "a.tar")
    import_job(cluster.store, tmp_path / "a.tar")
    return cluster.store


def test_records_hashes_and_answers_are_the_same(laptop: Door, cluster: Door, tmp_path: Path) -> None:
    fill(laptop.store, clients_per_round=3, hot_rounds=4)
    laptop.store.put_dataset("job", "digits", {"inputs": np.eye(4, dtype=np.float32)})
    there = moved(laptop, cluster, tmp_path)
    assert described(there) == described(laptop.store)
    assert answers(there) == answers(laptop.store)


def test_an_archive_of_what_was_imported_has_the_same_files(laptop: Door, cluster: Door, tmp_path: Path) -> None:
    fill(laptop.store)
    there = moved(laptop, cluster, tmp_path)
    export_job(there, "job", tmp_path / "b.tar")
    assert objects(tmp_path / "a.tar") == objects(tmp_path / "b.tar")


def test_any_tar_lists_it_and_each_file_has_the_hash_that_names_it(laptop: Door, tmp_path: Path) -> None:
    fill(laptop.store)
    exported = export_job(laptop.store, "job", tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as tar:
        contents = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    manifest = contents.pop("manifest.json")
    assert hashlib.sha256(manifest).hexdigest() == exported.fingerprint
    for number, sha256 in json.loads(manifest)["rounds"].items():
        assert hashlib.sha256(contents.pop(f"rounds/{int(number):08d}.json")).hexdigest() == sha256
    assert {name: f"objects/{hashlib.sha256(content).hexdigest()}" for name, content in contents.items()} == {
        name: name for name in contents
    }
    assert (exported.rounds, exported.files) == (5, len(contents))
    assert exported.nbytes == (tmp_path / "a.tar").stat().st_size


@pytest.mark.parametrize("stated", ["delta", None])
def test_a_job_of_differences_stays_one(laptop: Door, cluster: Door, tmp_path: Path, stated: Any) -> None:
    store = laptop.store
    store.create_job("job", like=model(0), updates=stated)
    store.put_aggregate("job", 0, model(0))
    store.commit("job", 0)
    deltas = [
        {name: array / 100 if array.dtype.kind == "f" else array for name, array in model(n).items()} for n in (1, 2)
    ]
    for client, delta in zip(("c1", "c2"), deltas, strict=True):
        store.put_update("job", 1, client, delta)
    mean = {
        name: array + (deltas[0][name] + deltas[1][name]) / 2 for name, array in model(0).items() if name != "steps"
    }
    store.put_aggregate("job", 1, {**mean, "steps": model(0)["steps"]})
    store.commit("job", 1)
    there = moved(laptop, cluster, tmp_path)
    answer = {**store.run("job", "cosine-similarity", round=1).result.raw}
    answer.pop("rounds_seen_as_differences", None)  # the copy says what its updates are, once they were seen
    assert there.run("job", "cosine-similarity", round=1).result.raw == answer
    assert described(there)["rounds"][1].pop("updates", "delta") == "delta"
    assert there.job("job").updates == "delta"


def test_bases_are_those_that_they_were(laptop: Door, cluster: Door, tmp_path: Path) -> None:
    fill(laptop.store, rounds=2)
    first = laptop.store.round("job", 1).aggregate
    assert first
    named: tuple[int | str, ...] = (0, "none", first.sha256, 5)
    for number, base in enumerate(named, 6):
        laptop.store.put_update("job", number, "c1", model(number), base=base)
        laptop.store.commit("job", number)
    there = moved(laptop, cluster, tmp_path)
    assert described(there) == described(laptop.store)


def test_what_flstore_made_an_aggregate_of_is_still_told(laptop: Door, cluster: Door, tmp_path: Path) -> None:
    fill(laptop.store, rounds=2)
    laptop.store.put_update("job", 3, "c2", model(8), metrics={"num_examples": 5})
    laptop.store.make_aggregate("job", 3, method="fedavg")
    laptop.store.commit("job", 3)
    there = moved(laptop, cluster, tmp_path)
    provenance = laptop.store.run("job", "provenance").result.raw
    assert provenance == there.run("job", "provenance").result.raw
    before, after = (store.round("job", 3).aggregate for store in (laptop.store, there))
    assert before
    assert after
    assert before.metrics["made"]["weights"].keys() != after.metrics["made"]["weights"].keys()
    assert sorted(before.metrics["made"]["weights"].values()) == sorted(after.metrics["made"]["weights"].values())


def test_a_job_gets_another_name_and_keeps_strange_ones(laptop: Door, cluster: Door, tmp_path: Path) -> None:
    fill(laptop.store, "Study #1", rounds=1)
    export_job(laptop.store, "Study #1", tmp_path / "a.tar")
    assert import_job(cluster.store, tmp_path / "a.tar").job == "Study #1"
    assert import_job(cluster.store, tmp_path / "a.tar", name="other").job == "other"
    assert described(cluster.store, "other") == described(laptop.store, "Study #1")


def test_metrics_of_a_file_and_beside_it_arrive(laptop: Door, cluster: Door, tmp_path: Path) -> None:
    fill(laptop.store, rounds=1)
    large = {"num_examples": 3, "text": "ä" * 9000}
    laptop.store.put_update("job", 2, "c2", model(3), metrics=large)
    laptop.store.put_update("job", 2, "c3", codec_file(), metrics={"flag": True, "one": 1})
    there = moved(laptop, cluster, tmp_path)
    assert described(there) == described(laptop.store)


def test_a_program_comes_along(laptop: Door, cluster: Door, tmp_path: Path) -> None:
    laptop.store.create_job("job", schema=small.SCHEMA)
    laptop.store.put_program("job", small.program())
    laptop.store.put_dataset("job", "digits", small.DATA)
    there = moved(laptop, cluster, tmp_path)
    path = paths.model_program("job")
    assert there.download_range(path, 0, 1 << 30).body == small.program()
    assert described(there) == described(laptop.store)
    assert import_job(there, tmp_path / "a.tar").sent == 0
    there.put_program("job", small.other_program())
    with pytest.raises(Conflict, match="it has another program"):
        import_job(there, tmp_path / "a.tar")


def test_an_aggregate_of_too_many_updates_comes_without_how_it_was_made(
    laptop: Door, cluster: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flstore_core.archives.target.MAX_MADE_BYTES", 40)
    fill(laptop.store, rounds=1)
    laptop.store.make_aggregate("job", 2, method="fedavg")
    laptop.store.commit("job", 2)
    export_job(laptop.store, "job", tmp_path / "a.tar")
    imported = import_job(cluster.store, tmp_path / "a.tar")
    assert imported.remarks == ("how the aggregate of round 2 was made is too long to be sent, and is left out",)
    aggregate = cluster.store.round("job", 2).aggregate
    assert aggregate
    assert not aggregate.metrics
    assert import_job(cluster.store, tmp_path / "a.tar").sent == 0


def test_rounds_that_count_otherwise_now_are_told(laptop: Door, cluster: Door, tmp_path: Path) -> None:
    fill(laptop.store, rounds=1)
    store, start = laptop.store, model(101)
    deltas = {c: {n: a / 2 if a.dtype.kind == "f" else a for n, a in model(i).items()} for i, c in enumerate("ab")}
    for client, delta in deltas.items():
        store.put_update("job", 2, client, delta)
    mean = {name: start[name] + (deltas["a"][name] + deltas["b"][name]) / 2 for name in ("w", "b")}
    store.drop_update("job", 2, "c1")
    store.put_aggregate("job", 2, {**mean, "steps": start["steps"]})
    assert store.commit("job", 2).updates == "delta"
    store.erase_client("job", "a")
    export_job(store, "job", tmp_path / "a.tar")
    imported = import_job(cluster.store, tmp_path / "a.tar")
    assert imported.remarks == (
        "the updates of round 2 count as weights now, and as delta before: the job does not say what they are",
    )


def codec_file() -> bytes:
    """Return a file whose metadata has metrics, one of which the upload overrides."""
    return save(model(4), {"metrics": '{"flag": 1, "other": [1, 2]}'})


def objects(path: Path) -> set[str]:
    with tarfile.open(path) as tar:
        return {name for name in tar.getnames() if name.startswith("objects/")}
