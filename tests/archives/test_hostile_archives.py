"""A file that was cut, changed or made up is refused in clear words, and nothing of it is sent."""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flstore_core.archives import export_job, import_job, tar
from flstore_core.archives.base import SETTINGS
from flstore_core.errors import Conflict, FLStoreError, InvalidArchive, InvalidParameters, NewerFormat
from tests.archives.jobs import described, fill, model
from tests.integrations.door import Door

Contents = dict[str, bytes]


@pytest.fixture
def archive(laptop: Door, tmp_path: Path) -> Path:
    fill(laptop.store, rounds=1)
    export_job(laptop.store, "job", tmp_path / "a.tar")
    return tmp_path / "a.tar"


def refused(cluster: Door, archive: Path, why: str, kind: type[FLStoreError] = InvalidArchive) -> None:
    with pytest.raises(kind, match=why):
        import_job(cluster.store, archive)
    assert not [seen for seen in cluster.seen if seen[0] != "GET"], "nothing may be sent"


def read(archive: Path) -> Contents:
    with tarfile.open(archive) as file:
        return {entry.name: file.extractfile(entry).read() for entry in file}  # type: ignore[union-attr]


def write(archive: Path, contents: Contents) -> None:
    parts = [tar.header(name, len(body)) + body + tar.padding(len(body)) for name, body in contents.items()]
    archive.write_bytes(b"".join(parts) + tar.END)


def rewrite(archive: Path, number: int, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a round's record, with its hash in the manifest: only what it says is wrong then."""
    contents, name = read(archive), f"rounds/{number:08d}.json"
    record = json.loads(contents[name])
    change(record)
    contents[name] = json.dumps(record).encode()
    manifest = json.loads(contents["manifest.json"])
    manifest["rounds"][str(number)] = hashlib.sha256(contents[name]).hexdigest()
    write(archive, {**contents, "manifest.json": json.dumps(manifest).encode()})


def restate(archive: Path, **fields: Any) -> None:
    """Change the manifest."""
    contents = read(archive)
    manifest = {**json.loads(contents["manifest.json"]), **fields}
    write(archive, {**contents, "manifest.json": json.dumps(manifest).encode()})


@pytest.mark.parametrize("nbytes", [0, 1, 511, 512, 700, 3000, -2000, -1024, -512, -1])
def test_a_cut_archive_is_refused(cluster: Door, archive: Path, nbytes: int) -> None:
    archive.write_bytes(archive.read_bytes()[:nbytes])
    refused(cluster, archive, "it is cut: it ends at byte")


def test_any_single_byte_that_is_changed_is_found(cluster: Door, archive: Path) -> None:
    whole = archive.read_bytes()
    for place in range(0, len(whole), 97):
        changed = bytearray(whole)
        changed[place] ^= 1
        archive.write_bytes(changed)
        if place in span_of_manifest(whole):
            continue  # whoever changes the manifest has to know its hash: that is what a fingerprint is for
        with pytest.raises(InvalidArchive):
            import_job(cluster.store, archive)
    assert not [seen for seen in cluster.seen if seen[0] != "GET"]


def span_of_manifest(whole: bytes) -> range:
    start = whole.rindex(b"manifest.json") + tar.BLOCK
    return range(start, start + len(whole[start:].rstrip(b"\0")))


def test_an_archive_with_another_fingerprint_is_refused(cluster: Door, archive: Path, laptop: Door) -> None:
    fingerprint = export_job(laptop.store, "job", archive).fingerprint
    restate(archive, settings={**json.loads(read(archive)["manifest.json"])["settings"], "updates": "delta"})
    with pytest.raises(InvalidArchive, match=f"its fingerprint is [0-9a-f]{{64}}, and not {fingerprint}"):
        import_job(cluster.store, archive, fingerprint=fingerprint)
    assert not cluster.seen
    export_job(laptop.store, "job", archive)
    assert import_job(cluster.store, archive, fingerprint=fingerprint.upper()).fingerprint == fingerprint


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../../etc/passwd", tarfile.REGTYPE),
        ("/etc/passwd", tarfile.REGTYPE),
        ("objects/" + "0" * 64, tarfile.SYMTYPE),
        ("objects/" + "0" * 64, tarfile.LNKTYPE),
        ("objects/" + "0" * 64, tarfile.CHRTYPE),
        ("objects/" + "0" * 64, tarfile.FIFOTYPE),
        ("objects", tarfile.DIRTYPE),
        ("rounds/00000001.json\0x", tarfile.REGTYPE),
        ("x" * 300, tarfile.REGTYPE),
    ],
)
def test_names_links_and_devices_are_refused(cluster: Door, archive: Path, name: str, kind: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "/etc/passwd"
    archive.write_bytes(entry.tobuf(tarfile.PAX_FORMAT) + archive.read_bytes())
    refused(cluster, archive, "byte 0 begins nothing that `flstore export` writes")


@pytest.mark.parametrize("size", [-1, 1 << 40, (1 << 63) - 1, 1 << 80])
def test_sizes_that_no_file_has_are_refused(cluster: Door, archive: Path, size: int) -> None:
    entry = tarfile.TarInfo("manifest.json")
    entry.size = size
    archive.write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + archive.read_bytes())
    refused(cluster, archive, "byte 0 begins nothing|it is cut")


def test_what_tar_packed_is_refused(cluster: Door, archive: Path) -> None:
    contents, packed = read(archive), io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as file:
        for name, body in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(body), 1700000000
            file.addfile(entry, io.BytesIO(body))
    archive.write_bytes(packed.getvalue())
    refused(cluster, archive, "a file that tar packed is none")


def test_order_does_not_matter_and_everything_else_does(cluster: Door, laptop: Door, archive: Path) -> None:
    contents = read(archive)
    write(archive, dict(reversed(contents.items())))
    import_job(cluster.store, archive)
    assert described(cluster.store) == described(laptop.store)


def test_what_is_missing_doubled_added_or_swapped_is_named(cluster: Door, archive: Path) -> None:
    contents = read(archive)
    first = json.loads(contents["rounds/00000001.json"])["members"][0]["sha256"]
    second = json.loads(contents["rounds/00000001.json"])["members"][1]["sha256"]
    first, second = f"objects/{first}", f"objects/{second}"
    for name in (first, "rounds/00000001.json", "manifest.json"):
        write(archive, {key: body for key, body in contents.items() if key != name})
        refused(cluster, archive, f"{name} is missing")
    write(archive, {**contents, f"objects/{hashlib.sha256(b'more').hexdigest()}": b"more"})
    refused(cluster, archive, "is there, and nothing names it")
    write(archive, {**contents, "rounds/00000009.json": contents["rounds/00000001.json"]})
    refused(cluster, archive, "rounds/00000009.json is there, and nothing names it")
    write(archive, {**contents, first: contents[second], second: contents[first]})
    refused(cluster, archive, "is changed: its SHA-256 is")
    write(archive, {**contents, first: contents[first] + b"x"})
    refused(cluster, archive, f"{first} has {len(contents[first]) + 1} bytes, and not")
    write(archive, contents)
    archive.write_bytes(archive.read_bytes()[: -len(tar.END)] * 2 + tar.END)
    refused(cluster, archive, "is there twice")
    write(archive, contents)
    archive.write_bytes(archive.read_bytes() + b"\0" * 512)
    refused(cluster, archive, "it does not end at byte")


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(round=2),
        lambda record: record.update(round=True),
        lambda record: record["members"].append(record["members"][0]),
        lambda record: record["members"][0].update(client="aggregate"),
        lambda record: record["members"][0].update(client=["c1"]),
        lambda record: record["members"][0].update(client="x" * 200),
        lambda record: record["members"][0].update(sha256="../x"),
        lambda record: record["members"][0].update(nbytes=-1),
        lambda record: record["members"][0].update(nbytes=True),
        lambda record: record["members"][0].update(metrics=[1]),
        lambda record: record.update(members={"a": 1}),
        lambda record: record.update(metrics=None),
        lambda record: record.update(base="x"),
        lambda record: record.update(base_named=3),
        lambda record: record.update(committed_at="yesterday"),
        lambda record: record.update(updates="other"),
        lambda record: record.pop("aggregate"),
    ],
)
def test_records_that_are_none_are_refused(
    cluster: Door, archive: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    rewrite(archive, 1, change)
    refused(cluster, archive, "the record of round 1 is not usable")


@pytest.mark.parametrize(
    "fields",
    [
        {"job": 3},
        {"job": "x" * 200},
        {"schema": [{"name": "w"}]},
        {"schema": [{"name": "w", "dtype": "X", "shape": []}]},
        {"settings": {}},
        {"settings": {**dict.fromkeys(SETTINGS), "updates": "other"}},
        {"settings": {**dict.fromkeys(SETTINGS), "updates": ["delta"]}},
        {"created_at": 10**400},
        {"rounds": {"one": "x"}},
        {"rounds": {"-1": "x"}},
        {"rounds": [1]},
        {"datasets": {"../x": {"sha256": "0" * 64, "nbytes": 1}}},
        {"program": {"sha256": "x", "nbytes": 1}},
        {"format": None},
    ],
)
def test_manifests_that_are_none_are_refused(cluster: Door, archive: Path, fields: dict[str, Any]) -> None:
    restate(archive, **fields)
    refused(cluster, archive, "the manifest.json is not usable")


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"format": NaN}', b"[" * 100_000, b"\xff"])
def test_a_manifest_that_is_no_object_is_refused(cluster: Door, archive: Path, text: bytes) -> None:
    write(archive, {**read(archive), "manifest.json": text})
    refused(cluster, archive, "the manifest.json is not usable")


def test_a_later_format_is_told(cluster: Door, archive: Path) -> None:
    restate(archive, format=2)
    refused(cluster, archive, "has the format 2, this version reads 1", NewerFormat)


def test_a_document_too_long_is_not_read(cluster: Door, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flstore_core.archives.reading.MAX_DOCUMENT_BYTES", 100)
    refused(cluster, archive, "at most 100 are read")


def test_a_file_that_is_not_there_is_named(cluster: Door, tmp_path: Path) -> None:
    refused(cluster, tmp_path / "none.tar", "none.tar' cannot be read: No such file", InvalidParameters)


def other_round(door: Door) -> None:
    door.store.put_update("job", 9, "c1", model(1))


def other_update(door: Door) -> None:
    door.store.put_update("job", 2, "c1", model(1))


def other_client(door: Door) -> None:
    door.store.put_update("job", 2, "c9", model(1))


def other_metrics(door: Door) -> None:
    door.store.put_update("job", 2, "c1", model(7), metrics={"num_examples": 4})


def early_commit(door: Door) -> None:
    door.store.put_update("job", 1, "c1", model(10), metrics={"num_examples": 10, "loss": 0.5})
    door.store.commit("job", 1, metrics={"loss": 1.0}, hyperparameters={"lr": 0.1})


def other_commit(door: Door) -> None:
    door.store.put_aggregate("job", 0, model(0))
    door.store.commit("job", 0, metrics={"loss": 3})


def closed(door: Door) -> None:
    door.store.commit("job", 2, allow_empty=True)


def dataset(door: Door) -> None:
    door.store.put_dataset("job", "digits", {"inputs": model(1)["w"]})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (other_round, "it has a round 9"),
        (other_update, "its round 2 has another model of 'c1'"),
        (other_client, "its round 2 has another model of 'c9'"),
        (other_metrics, "its round 2 has another model of 'c1'"),
        (early_commit, "its round 1 was committed without 'Hospital A'"),
        (other_commit, "its round 0 was committed with other metrics"),
        (closed, "its round 2 is committed"),
        (dataset, "it has another data set 'digits'"),
    ],
)
def test_another_job_of_that_name_is_left_as_it_is(
    cluster: Door, archive: Path, change: Callable[[Door], None], why: str
) -> None:
    cluster.store.create_job("job", like=model(0))
    change(cluster)
    cluster.seen.clear()
    refused(cluster, archive, f"there is another job 'job': {why}.*; import the archive under another name", Conflict)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"like": {"w": model(0)["w"]}}, "its tensors are others"),
        ({"updates": "delta"}, "its updates is 'delta', and not 'weights'"),
        ({"statistics": "off"}, "its statistics is 'off'"),
        ({"weight_key": "n"}, "its weight_key is 'n', and not None"),
    ],
)
def test_a_job_of_other_settings_is_left_as_it_is(
    cluster: Door, archive: Path, settings: dict[str, Any], why: str
) -> None:
    cluster.store.create_job("job", **{"like": model(0), **settings})
    cluster.seen.clear()
    refused(cluster, archive, why, Conflict)


def test_a_job_that_was_made_before_keeps_its_place_in_memory(cluster: Door, archive: Path) -> None:
    cluster.store.create_job("job", like=model(0), hot_rounds=7, clients_per_round=99)
    cluster.store.put_update("job", 2, "c1", model(7), metrics={"num_examples": 3})
    import_job(cluster.store, archive)
    assert cluster.store.job("job").hot_rounds == 7
