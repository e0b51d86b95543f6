"""Models by a URI: which one it names, and that the folder has that one or nothing."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner, Result

from flstore_core import codec
from flstore_core.cli import main
from flstore_core.client import FLStore
from flstore_core.errors import FLStoreError, InvalidTensors, TooLarge, Unavailable
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.models import fetching
from flstore_core.models.fetching import Source, fetch
from flstore_core.models.folder import CONTENTS, PROGRAM, WEIGHTS, read_contents
from flstore_core.units import format_size
from tests.models.gateways import Gateway, gateway, weights
from tests.models.small import program


@pytest.fixture(scope="module")
def stored() -> Iterator[Gateway]:
    with gateway() as served:
        yield served


@pytest.mark.parametrize(
    ("uri", "job", "number", "client"),
    [
        ("flstore://digits/3", "digits", 3, AGGREGATE),
        ("flstore://digits/3/aggregate", "digits", 3, AGGREGATE),
        ("flstore://digits/latest", "digits", None, AGGREGATE),
        ("flstore://Digits.v2/0/client-7", "Digits.v2", 0, "client-7"),
        ("flstore://my%20job/3/Hospital%20A", "x--my_20job", 3, "x--Hospital_20A"),
        ("flstore://digits/3/ipv4:10.0.0.1:80", "digits", 3, "x--ipv4_3a10.0.0.1_3a80"),
        ("flstore://digits/3/..%2F..%2Fetc", "digits", 3, "x--.._2f.._2fetc"),
    ],
)
def test_a_uri_names_a_job_a_round_and_perhaps_a_client(uri: str, job: str, number: int | None, client: str) -> None:
    assert Source.parse(uri) == Source(JobId(job), number, ClientId(client))


@pytest.mark.parametrize(
    "uri",
    [
        *("", "flstore://", "flstore://digits", "flstore://digits/", "flstore://digits/3/", "flstore:///3", "s3://b/3"),
        *("flstore://digits/three", "flstore://digits/-1", "flstore://digits/3/a/b", "flstore://digits/3?a=b"),
        *("flstore://digits/3#a", "flstore://digits/../3", "flstore://digits/3/metadata", "flstore://di gits/3"),
        *("flstore://digits/100000000", "flstore://digits/3/a\n", "FLSTORE://digits/3"),
    ],
)
def test_any_other_uri_is_refused(uri: str) -> None:
    with pytest.raises(FLStoreError) as refusal:
        Source.parse(uri)
    assert refusal.value.status == 422


@pytest.mark.parametrize(
    ("uri", "name", "seed"),
    [
        ("flstore://small/1", "1", 13),
        ("flstore://small/latest", "1", 13),
        ("flstore://small/0", "0", 10),
        ("flstore://small/1/a", "1:a", 11),
        ("flstore://small/1/Hospital%20B", "1:x--Hospital_20B", 12),
        ("flstore://moves/1", "1", 13),
        ("flstore://moves/1/a", "1:a", 11),
        ("flstore://moves/1/Hospital%20B", "1:x--Hospital_20B", 12),
    ],
)
def test_the_folder_has_the_whole_model_and_its_program(
    stored: Gateway, tmp_path: Path, uri: str, name: str, seed: int
) -> None:
    source = Source.parse(uri)
    with stored.client(f"reads-{source.job}") as client:  # a token that may read this job, and nothing else
        contents = fetch(client, source, tmp_path / "models")
    assert {path.name for path in (tmp_path / "models").iterdir()} == {PROGRAM, WEIGHTS, CONTENTS}
    assert read_contents(tmp_path / "models") == contents
    assert (contents.job, str(contents.model)) == (source.job, name)
    files = {PROGRAM: contents.program, WEIGHTS: contents.weights}
    for file, told in files.items():
        content = (tmp_path / "models" / file).read_bytes()
        assert (told.sha256, told.nbytes) == (hashlib.sha256(content).hexdigest(), len(content))
    assert (tmp_path / "models" / PROGRAM).read_bytes() == program()
    arrays, _ = codec.loads((tmp_path / "models" / WEIGHTS).read_bytes())
    for key, array in weights(seed).items():
        np.testing.assert_allclose(arrays[key], array, rtol=1e-5, atol=1e-6)


def test_updates_that_an_aggregate_shows_to_be_differences_are_fetched_as_models(
    stored: Gateway, tmp_path: Path
) -> None:
    with stored.client() as client:
        client.create_job("silent", like=weights(0))
        client.put_program("silent", program())
        client.put_aggregate("silent", 0, weights(10))
        client.commit("silent", 0)
        moves = [{key: weights(seed)[key] - weights(10)[key] for key in weights(0)} for seed in (11, 12)]
        for name, move in zip("ab", moves, strict=True):
            client.put_update("silent", 1, name, move)
        client.put_aggregate(
            "silent", 1, {key: weights(10)[key] + (moves[0][key] + moves[1][key]) / 2 for key in moves[0]}
        )
        assert client.commit("silent", 1).updates == "delta"
        fetch(client, Source.parse("flstore://silent/1/b"), tmp_path)
    arrays, _ = codec.loads((tmp_path / WEIGHTS).read_bytes())
    for key, array in weights(12).items():
        np.testing.assert_allclose(arrays[key], array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("uri", "code", "said"),
    [
        ("flstore://nobody/1", "not-found", "'nobody'"),
        ("flstore://small/9", "not-found", "9"),
        ("flstore://small/1/nobody", "not-found", "job 'small' stores no model '1:nobody'"),
        ("flstore://small/2/a", "invalid-parameters", "round 2 of job 'small' is open"),
        ("flstore://bare/0", "not-found", "job 'bare' stores no model '0'"),
        ("flstore://bare/0/a", "not-found", "has no program"),
    ],
)
def test_what_cannot_be_fetched_is_told_and_nothing_is_left_that_could_be_served(
    stored: Gateway, tmp_path: Path, uri: str, code: str, said: str
) -> None:
    with stored.client() as client, pytest.raises(FLStoreError, match=said) as refusal:
        fetch(client, Source.parse(uri), tmp_path)
    assert refusal.value.code == code
    assert list(tmp_path.iterdir()) == []


def test_a_job_without_a_committed_round_has_no_latest(stored: Gateway, tmp_path: Path) -> None:
    with stored.client() as client:
        client.create_job("empty", like=weights(0))
        with pytest.raises(FLStoreError, match="job 'empty' has no committed round"):
            fetch(client, Source.parse("flstore://empty/latest"), tmp_path)


def test_a_difference_from_nothing_is_no_model(stored: Gateway, tmp_path: Path) -> None:
    with stored.client() as client:
        client.put_program("bare", program())
        with pytest.raises(FLStoreError, match="differences from a model that is not stored") as refusal:
            fetch(client, Source.parse("flstore://bare/0/a"), tmp_path)
    assert refusal.value.code == "not-enough-data"
    assert not (tmp_path / CONTENTS).exists()


def test_a_token_for_another_job_fetches_nothing(stored: Gateway, tmp_path: Path) -> None:
    with stored.client("reads-moves") as client, pytest.raises(FLStoreError) as refusal:
        fetch(client, Source.parse("flstore://small/1"), tmp_path)
    assert refusal.value.code == "forbidden"


def test_a_folder_that_has_another_model_says_so_no_more_once_it_is_filled_anew(
    stored: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stored.client() as client:
        fetch(client, Source.parse("flstore://small/0"), tmp_path)
        monkeypatch.setattr(FLStore, "download_program", _away)
        with pytest.raises(Unavailable):
            fetch(client, Source.parse("flstore://small/1"), tmp_path)
    assert not (tmp_path / CONTENTS).exists()
    assert not list(tmp_path.glob("*.part"))


def test_weights_with_another_hash_than_the_rounds_record_are_refused(stored: Gateway, tmp_path: Path) -> None:
    with stored.client() as client:
        client.create_job("swapped", like=weights(0), updates="weights")
        client.put_program("swapped", program())
        client.put_update("swapped", 0, "a", weights(10))
        client.commit("swapped", 0)
        [key] = [key for key in stored.world.store.contents if "jobs/swapped/" in key and "clients/a~" in key]
        stored.world.store.put(key, codec.dumps(weights(11)))
        with pytest.raises(Unavailable, match="but the server names"):
            fetch(client, Source.parse("flstore://swapped/0/a"), tmp_path)
    assert not (tmp_path / WEIGHTS).exists()


def test_a_model_for_which_the_folder_has_no_room_is_refused_before_it_is_fetched(
    stored: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "shutil", SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=100)))
    with stored.client() as client, pytest.raises(TooLarge, match="at most 100 are taken"):
        fetch(client, Source.parse("flstore://small/1"), tmp_path)


def test_weights_in_another_order_than_gateways_store_are_refused(tmp_path: Path) -> None:
    places = {"a": [8, 16], "b": [0, 8]}
    text = json.dumps({name: {"dtype": "F32", "shape": [2], "data_offsets": place} for name, place in places.items()})
    (tmp_path / "swapped").write_bytes(len(text).to_bytes(8, "little") + text.encode() + bytes(16))
    with pytest.raises(InvalidTensors, match="another order than the canonical one"):
        fetching._parsed(tmp_path / "swapped")


class TestCommand:
    """`flstore fetch-model`, as KServe runs it: a source and a folder, and all else from the environment."""

    def run(self, stored: Gateway, *args: str, token: str = "reads-small") -> Result:
        env = {"FLSTORE_URL": stored.url, "FLSTORE_TOKEN": token, "COLUMNS": "300"}
        return CliRunner(env=env).invoke(main, ["fetch-model", *args])

    def test_it_says_which_model_lies_where(self, stored: Gateway, tmp_path: Path) -> None:
        done = self.run(stored, "flstore://small/1/Hospital%20B", str(tmp_path))
        size = format_size(read_contents(tmp_path).nbytes)
        assert f"{tmp_path}: the update of Hospital B in round 1 of job small, {size}\n" == done.output
        done = self.run(stored, "flstore://small/latest", str(tmp_path))
        size = format_size(read_contents(tmp_path).nbytes)
        assert f"{tmp_path}: the aggregate of round 1 of job small, {size}\n" == done.output
        told = json.loads(self.run(stored, "flstore://small/1", str(tmp_path), "--json").output)
        assert (told["job"], told["model"], told["folder"]) == ("small", "1", str(tmp_path))

    @pytest.mark.parametrize(
        ("uri", "token", "said"),
        [
            ("flstore://small/1", "nobodys", "A valid bearer token is needed"),
            ("flstore://small", "reads-small", "write flstore://JOB/ROUND or flstore://JOB/ROUND/CLIENT"),
        ],
    )
    def test_what_fails_is_one_line_which_kserve_shows(
        self, stored: Gateway, tmp_path: Path, uri: str, token: str, said: str
    ) -> None:
        done = self.run(stored, uri, str(tmp_path), token=token)
        assert (done.exit_code, said in done.stderr) == (1, True)
        assert len(done.stderr.splitlines()) == 1

    def test_a_process_of_its_own_fetches_it_with_nothing_but_two_variables(
        self, stored: Gateway, tmp_path: Path
    ) -> None:
        command = [sys.executable, "-m", "flstore_core.cli", "fetch-model", "flstore://small/1", str(tmp_path / "m")]
        env = {"FLSTORE_URL": stored.url, "FLSTORE_TOKEN": "reads-small"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        assert str(read_contents(tmp_path / "m").model) == "1"


def _away(*_: object, **__: object) -> str:
    raise Unavailable("away")
