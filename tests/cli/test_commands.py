"""Each command: what it asks of the server, and what it prints for people and for scripts."""

import hashlib
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner

from flstore_core.cli import main
from flstore_core.records import Round
from flstore_core.workloads import registry
from tests.cli.conftest import Flstore
from tests.client.scripted import Script
from tests.client.test_api import ANSWER, ARRAYS, ROUND

JOB = {"job": "j", "parameters": 11_690_000, "nbytes": 46_760_000, "committed": 2, "open": [2], "latest": 1}
EXECUTION = {
    "where": "shards",
    "shards": ["shard-0", "shard-1"],
    "hits": 18,
    "misses": 2,
    "bytes_touched": 2048,
    "bytes_fetched": 0,
    "total_ms": 1.25,
}
TALLY = {"requests": 4, "hit_rate": 0.75}
INVENTORY = {"used_bytes": 1 << 20, "budget_bytes": 1 << 30, "objects": 12, "overall": TALLY, "P2": TALLY}
CACHE = {
    "gateway": {},
    "shards": [
        {"shard": "shard-0", "state": "awake", "inventory": INVENTORY},
        {"shard": "shard-1", "state": "zero"},
    ],
}
TABLE = {
    "version": 3,
    "shards": {},
    "jobs": {"j": {"slices": 2, "replicas": 1, "owners": [["shard-0"], ["shard-1"]]}},
}
WORKLOADS: dict[str, list[dict[str, Any]]] = {
    "workloads": [
        {
            "name": "clustering",
            "pattern": "P2",
            "needs": "statistics",
            "source": "Lloyd 1982",
            "summary": "Groups a round's clients.",
            "parameters": {
                "properties": {
                    "k": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None, "description": "Groups."},
                    "client": {"type": "string"},
                },
                "required": ["client"],
            },
            "result": {},
        }
    ]
}


def test_status_shows_shards_rates_and_placement(flstore: Flstore, script: Script) -> None:
    for reply in (CACHE, TABLE, {"jobs": [JOB]}) * 2:
        script.reply(reply)
    shown = flstore("status").output
    assert "1.0 MiB" in shown
    assert shown.count("75 %") == 2
    assert "zero" in shown
    assert "shard-0, shard-1" in shown
    found = json.loads(flstore("status", "--json").output)
    assert found["shards"] == CACHE["shards"]
    assert found["placement"]["version"] == 3


def test_jobs_are_listed_without_a_subcommand(flstore: Flstore, script: Script) -> None:
    script.reply({"jobs": [JOB]})
    assert "11,690,000" in flstore("jobs").output
    assert json.loads(flstore("jobs", "--json").output)[0]["latest"] == 1
    assert json.loads(flstore("jobs", "list", "--json").output)[0]["open"] == [2]


def test_a_job_is_shown_by_its_name(flstore: Flstore, script: Script) -> None:
    script.reply(JOB | {"schema": [{"name": "layer.weight", "dtype": "F32", "shape": [3, 4]}], "statistics": "exact"})
    script.reply({"rounds": [{"round": 7, "committed": True, "clients": 10, "base": 6}]})
    shown = flstore("jobs", "j").output
    assert "layer.weight" in shown
    assert "3, 4" in shown
    assert script.seen[0].path == "/v1/jobs/j"


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_job_is_created_like_a_file(flstore: Flstore, script: Script, tmp_path: Path, suffix: str) -> None:
    script.reply(JOB, 201)
    file = saved(tmp_path / f"model{suffix}")
    given = ("--like", str(file), "--slices", "2", "--updates", "delta", "--weight-key", "samples")
    assert flstore("jobs", "create", "j", *given).exit_code == 0
    sent = script.seen[0].json
    assert (sent["slices"], sent["updates"], sent["weight_key"]) == (2, "delta", "samples")
    assert {(tensor["name"], tensor["dtype"]) for tensor in sent["schema"]} == {("steps", "I64"), ("w", "F32")}


def test_deleting_a_job_asks_first(flstore: Flstore, script: Script) -> None:
    script.reply(None, 204)
    assert flstore("jobs", "delete", "j", input="n\n").exit_code == 1
    assert not script.seen
    assert flstore("jobs", "delete", "j", "--yes").exit_code == 0
    assert script.seen[0].method == "DELETE"


def test_files_are_put_as_the_clients_they_are_named_after(flstore: Flstore, script: Script, tmp_path: Path) -> None:
    script.receipt()
    files = [saved(tmp_path / "c1.safetensors"), saved(tmp_path / "c2.npz")]
    result = flstore("put", "j", "3", *map(str, files), "-m", "num_examples=12", "-m", "site=north", "--json")
    assert len(json.loads(result.output)) == 2
    by_path = {seen.path: seen for seen in script.seen}
    assert set(by_path) == {"/v1/jobs/j/rounds/3/clients/c1", "/v1/jobs/j/rounds/3/clients/c2"}
    first = by_path["/v1/jobs/j/rounds/3/clients/c1"]
    assert json.loads(first.headers["x-flstore-metrics"]) == {"num_examples": 12, "site": "north"}
    assert all(safetensors.numpy.load(seen.body)["w"].tolist() == ARRAYS["w"].tolist() for seen in script.seen)


def test_an_aggregate_is_put_and_shown(flstore: Flstore, script: Script, tmp_path: Path) -> None:
    script.receipt(client="aggregate")
    shown = flstore("put", "j", "3", str(saved(tmp_path / "global.safetensors")), "--aggregate").output
    assert "stored" in shown
    assert script.seen[0].path == "/v1/jobs/j/rounds/3/aggregate"


def test_arrays_of_objects_are_never_unpickled(flstore: Flstore, script: Script, tmp_path: Path) -> None:
    file = tmp_path / "evil.npz"
    np.savez(file, w=np.array([{"a": 1}], dtype=object))
    result = flstore("put", "j", "3", str(file))
    assert result.exit_code == 1
    assert "allow_pickle" in result.stderr
    assert not script.seen


@pytest.mark.parametrize("name", ["model.pt", "broken.npz"])
def test_a_file_that_is_no_model_is_refused(flstore: Flstore, script: Script, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no model")
    result = flstore("put", "j", "3", str(tmp_path / name))
    assert result.exit_code == 1
    assert name in result.stderr
    assert not script.seen


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_model_is_fetched_into_a_file(flstore: Flstore, script: Script, tmp_path: Path, suffix: str) -> None:
    body = safetensors.numpy.save(ARRAYS)
    script.reply_bytes(body, ETag=f'"{hashlib.sha256(body).hexdigest()}"')
    script.reply({"job": "j", "parameters": 6, "nbytes": 32, "schema": [{"name": "w"}, {"name": "steps"}]})
    output = tmp_path / f"out{suffix}"
    assert flstore("get", "j", "3", "-o", str(output)).exit_code == 0
    assert script.seen[0].path == "/v1/jobs/j/rounds/3/aggregate"
    if suffix == ".npz":
        with np.load(output) as found:
            assert found["w"].tolist() == ARRAYS["w"].tolist()
            assert list(found) == ["w", "steps"], "in the order in which the job was created"
    else:
        assert output.read_bytes() == body


def test_a_commit_carries_what_was_given(flstore: Flstore, script: Script) -> None:
    script.reply(ROUND)
    result = flstore("commit", "j", "3", "-m", "accuracy=0.5", "-p", "lr=0.1", "--participant", "c1")
    assert "round 3 is committed: 1 updates" in result.output
    assert script.seen[0].json == {
        "metrics": {"accuracy": 0.5},
        "hyperparameters": {"lr": 0.1},
        "participants": ["c1"],
    }


@pytest.mark.parametrize("base", ["2", "none", "ab" * 32])
def test_puts_and_commits_name_the_base(flstore: Flstore, script: Script, tmp_path: Path, base: str) -> None:
    script.receipt(client="aggregate")
    flstore("put", "j", "3", str(saved(tmp_path / "global.safetensors")), "--aggregate", "--base", base)
    assert script.seen[0].query == f"base={base}"
    script.reply(ROUND)
    flstore("commit", "j", "3", "--base", base)
    assert script.seen[1].json["base"] == base


def test_parameters_are_json_where_they_can_be(flstore: Flstore, script: Script) -> None:
    script.reply(ANSWER | {"execution": EXECUTION})
    result = flstore("run", "j", "cosine-similarity", "-p", "round=3", "-p", 'clients=["c1"]', "-p", "method=krum")
    assert script.seen[0].json == {"round": 3, "clients": ["c1"], "method": "krum"}
    assert "18 hits, 2 misses" in result.output
    assert "similarity" in result.output
    assert json.loads(flstore("run", "j", "cosine-similarity", "--json").output) == ANSWER | {"execution": EXECUTION}


def test_what_an_answer_has_to_say_besides_follows_its_finding(flstore: Flstore, script: Script) -> None:
    remarks = {"unweighted": ["c1", "c2"], "tensors_left_out": [f"steps{index}" for index in range(8)]}
    script.reply(ANSWER | {"result": {"share": 0.5, **remarks}, "execution": EXECUTION})
    lines = flstore("run", "j", "of-a-package").output.splitlines()
    assert lines[1] == "Counted equally, for want of a weight: c1, c2"
    assert " ".join(lines[2:]).startswith("Tensors left out, as they hold no floating-point numbers: steps0,")
    assert "and 2 more" in " ".join(lines)


def test_a_run_in_the_background_is_waited_for(flstore: Flstore, script: Script) -> None:
    script.reply(None, 202, Location="/v1/operations/op1")
    script.reply({"id": "op1", "state": "succeeded", "result": ANSWER | {"execution": EXECUTION}})
    found = json.loads(flstore("run", "j", "aggregate", "--background", "--json").output)
    assert found == ANSWER | {"execution": EXECUTION}


def test_workloads_and_their_parameters_are_listed(flstore: Flstore, script: Script) -> None:
    script.reply(WORKLOADS)
    assert "Groups a round's clients." in flstore("workloads").output
    shown = flstore("workloads", "clustering").output
    assert "required" in shown
    assert "integer" in shown
    assert json.loads(flstore("workloads", "--json").output) == WORKLOADS["workloads"]
    assert "nearest: clustering" in flstore("workloads", "clusters").stderr


BRACKETED = {
    "workloads": [{**WORKLOADS["workloads"][0], "summary": "Groups [bold]clients[/bold].", "source": "[dim]Lloyd[/]"}]
}


def test_a_workloads_own_words_are_shown_as_they_are(flstore: Flstore, script: Script) -> None:
    script.reply(BRACKETED)
    output = flstore("workloads", "clustering").output
    assert "Groups [bold]clients[/bold]." in output
    assert "[dim]Lloyd[/]" in output


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer"}, "integer"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}, {"type": "null"}]}, "integer or string"),
        ({"enum": ["krum", "median"]}, "krum | median"),
        ({"type": "array", "items": {"$ref": "#/$defs/Named"}}, "list of Named"),
        ({"const": "mean"}, "mean"),
        ({}, "object"),
    ],
)
def test_a_parameters_type_is_shown_in_words(
    flstore: Flstore, script: Script, schema: dict[str, object], text: str
) -> None:
    workload = {**WORKLOADS["workloads"][0], "parameters": {"properties": {"parameter": schema}}}
    script.reply({"workloads": [workload]})
    assert f"\nparameter  {text}, default -\n" in flstore("workloads", "clustering").output


def test_the_workloads_that_are_installed_need_no_server() -> None:
    runner = CliRunner(env={"FLSTORE_URL": None, "COLUMNS": "200"})
    listed = json.loads(runner.invoke(main, ["workloads", "--json"]).output)
    assert [each["name"] for each in listed] == registry.names()
    shown = runner.invoke(main, ["workloads", "malicious-filter"]).output
    assert "malicious-filter (P2, from statistics)" in shown
    assert all(field.name in shown for field in fields(registry.get("malicious-filter").params))
    assert "nearest: norms" in runner.invoke(main, ["workloads", "normz"]).stderr


def test_a_put_of_several_files_takes_no_single_clients_options(flstore: Flstore, tmp_path: Path) -> None:
    files = [str(saved(tmp_path / name)) for name in ("a.npz", "b.npz")]
    for option in (["--client", "c1"], ["--aggregate"]):
        result = flstore("put", "j", "3", *files, *option)
        assert result.exit_code == 2
        assert "--client and --aggregate need exactly one file" in result.stderr


def test_a_model_is_not_fetched_into_a_file_of_another_kind(flstore: Flstore, script: Script) -> None:
    result = flstore("get", "j", "3", "-o", "model.pt")
    assert result.exit_code == 1
    assert "output 'model.pt' is not usable; name a .safetensors or .npz file" in result.stderr
    assert not script.seen


def test_a_folder_that_cannot_be_written_to_is_named(flstore: Flstore, script: Script, tmp_path: Path) -> None:
    script.reply_bytes(safetensors.numpy.save(ARRAYS))
    output = tmp_path / "missing" / "model.safetensors"
    result = flstore("get", "j", "3", "c1", "-o", str(output))
    assert result.exit_code == 1
    assert f"file '{output}' cannot be written: No such file or directory" in result.stderr


def test_a_job_without_shards_is_shown_as_not_placed(flstore: Flstore, script: Script) -> None:
    for reply in (CACHE, {**TABLE, "jobs": {}}, {"jobs": [JOB]}):
        script.reply(reply)
    assert "not placed yet" in flstore("status").output


@pytest.mark.parametrize(
    ("start", "shown"),
    [
        ({"cause": "restart", "reason": "OOMKilled", "seconds": 3.21}, "restart (OOMKilled), 3.2 s"),
        ({"cause": "request", "reason": "", "seconds": 0.5}, "request, 0.5 s"),
    ],
)
def test_status_says_why_a_shard_was_started(
    flstore: Flstore, script: Script, start: dict[str, object], shown: str
) -> None:
    shards = [{"shard": "shard-0", "state": "awake", "last_start": start}, {"shard": "shard-1", "state": "zero"}]
    script.reply({"gateway": {}, "shards": shards})
    script.reply(TABLE)
    script.reply({"jobs": []})
    first, second = (line for line in flstore("status").output.splitlines() if line.strip().startswith("shard-"))
    assert shown in first
    assert second.split()[:3] == ["shard-1", "zero", "-"]


STARTS = [
    {"cause": "request", "reason": "", "seconds": 0.5, "at": 1764201600.0},
    {"cause": "restart", "reason": "OOMKilled", "seconds": 3.21, "at": 1764205200.0},
]


def test_status_shows_recent_starts_and_unexpected_ends(flstore: Flstore, script: Script) -> None:
    shards = [
        {"shard": "shard-0", "state": "awake", "last_start": STARTS[1], "recent_starts": STARTS, "last_end": None},
        {"shard": "shard-1", "state": "zero", "last_end": {"reason": "SIGKILL", "expected": False}},
        {"shard": "shard-2", "state": "zero", "last_end": {"reason": "idle", "expected": True}},
    ]
    for _ in range(2):
        script.reply({"gateway": {}, "shards": shards})
        script.reply(TABLE)
        script.reply({"jobs": []})
    rows = [line.split() for line in flstore("status", "--starts").output.splitlines() if "shard-" in line]
    assert rows[1][:3] == ["shard-1", "zero", "(SIGKILL)"]
    assert rows[2][:3] == ["shard-2", "zero", "-"]
    assert [(row[0], row[3], row[4], row[5]) for row in rows[3:]] == [
        ("shard-0", "restart", "OOMKilled", "3.2"),
        ("shard-0", "request", "-", "0.5"),
    ]
    assert "newest first" not in flstore("status").output


def test_a_misspelt_setting_is_warned_about_and_nothing_else_changes(
    flstore: Flstore, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLSTORE_TOKEM", "secret")
    script.reply(ROUND)
    result = flstore("commit", "j", "3", "--json")
    assert result.stderr == "warning: FLSTORE_TOKEM is no setting of FLStore; nearest: FLSTORE_TOKEN\n"
    assert json.loads(result.stdout) == Round.from_json(ROUND).to_json()


def test_a_record_is_printed_as_the_servers_json(flstore: Flstore, script: Script) -> None:
    script.reply(ROUND)
    assert json.loads(flstore("commit", "j", "3", "--json").output) == Round.from_json(ROUND).to_json()


def test_a_deleted_job_is_confirmed_in_both_forms(flstore: Flstore, script: Script) -> None:
    script.reply(None, 204)
    assert flstore("jobs", "delete", "j", input="y\n").stdout == "job j is removed\n"
    assert json.loads(flstore("jobs", "delete", "j", "--yes", "--json").output) == {"deleted": "j"}


def saved(path: Path) -> Path:
    if path.suffix == ".npz":
        np.savez(path, allow_pickle=False, **ARRAYS)
    else:
        safetensors.numpy.save_file(ARRAYS, path)
    return path


def test_a_file_of_an_aggregate_is_no_clients(flstore: Flstore, script: Script, tmp_path: Path) -> None:
    script.receipt(client="aggregate")
    file = str(saved(tmp_path / "aggregate.safetensors"))
    for given in ((), ("--client", "aggregate")):
        refused = flstore("put", "j", "3", file, *given)
        assert (refused.exit_code, script.seen) == (2, [])
        assert "use --aggregate" in refused.stderr
    assert flstore("put", "j", "3", file, "--aggregate").exit_code == 0
    assert script.seen[0].path == "/v1/jobs/j/rounds/3/aggregate"


def test_no_file_is_put_if_one_of_them_has_no_clients_name(flstore: Flstore, script: Script, tmp_path: Path) -> None:
    files = [saved(tmp_path / "c1.safetensors"), saved(tmp_path / f"{'é' * 60}.safetensors")]
    refused = flstore("put", "j", "3", *map(str, files))
    assert (refused.exit_code, script.seen) == (1, [])
    assert "characters; use 1 to 128" in refused.stderr


def test_a_client_may_have_any_name(flstore: Flstore, script: Script, tmp_path: Path) -> None:
    script.receipt(client="Hospital A")
    file = str(saved(tmp_path / "Hospital A.safetensors"))
    assert "Hospital A" in flstore("put", "j", "3", file).output
    assert flstore("put", "j", "3", file, "--client", "ipv4:10.0.0.1:80").exit_code == 0
    script.replies.clear()
    script.reply(ANSWER)
    flstore("run", "j", "reputation", "-p", "client=-5")
    assert [seen.path.rpartition("/")[2] for seen in script.seen[:2]] == ["x--Hospital_20A", "x--ipv4_3a10.0.0.1_3a80"]
    assert script.seen[2].json == {"client": "x---5"}


def test_a_job_may_have_any_name(flstore: Flstore, script: Script, tmp_path: Path) -> None:
    script.receipt(job="Köln, run 7")
    file = str(saved(tmp_path / "c1.safetensors"))
    assert flstore("put", "Köln, run 7", "3", file).exit_code == 0
    assert script.seen[0].path == "/v1/jobs/x--K_c3_b6ln_2c_20run_207/rounds/3/clients/c1"


@pytest.mark.parametrize("name", ["file", "allow_pickle", "self", "args", "kwds", "a/b", "w.npy"])
def test_a_tensor_of_any_name_is_written_for_numpy(flstore: Flstore, script: Script, tmp_path: Path, name: str) -> None:
    arrays = {name: np.arange(3, dtype=np.float32), "other": np.array(7)}
    script.reply_bytes(safetensors.numpy.save(arrays))
    script.reply({"job": "j", "parameters": 6, "nbytes": 32, "schema": [{"name": name}]})
    path = tmp_path / "c1.npz"
    assert flstore("get", "j", "3", "c1", "-o", str(path)).exit_code == 0
    with np.load(path, allow_pickle=False) as archive:
        assert archive[name].tolist() == [0.0, 1.0, 2.0]
    script.replies.clear()
    script.receipt()
    assert flstore("put", "j", "3", str(path)).exit_code == 0
    assert safetensors.numpy.load(script.seen[-1].body)[name].tolist() == [0.0, 1.0, 2.0]


def test_what_is_no_model_leaves_no_file(flstore: Flstore, script: Script, tmp_path: Path) -> None:
    script.reply_bytes(b"nothing")
    path = tmp_path / "c1.npz"
    assert flstore("get", "j", "3", "c1", "-o", str(path)).exit_code == 1
    assert not path.exists()


@pytest.mark.parametrize("name", ["[/x]", "[red]", ":smile:", "[link=x]y"])
def test_names_are_printed_as_they_are(flstore: Flstore, script: Script, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir(parents=True)
    script.reply_bytes(safetensors.numpy.save(ARRAYS))
    assert f"{name}/c1.safetensors: " in flstore("get", "j", "3", "c1", "-o", str(folder / "c1.safetensors")).output
    script.replies.clear()
    answer = ANSWER | {"result": {name: [{name: 1}], "other": {name: {"a": name}}}, "execution": EXECUTION}
    script.reply(answer | {"workload": name})
    shown = flstore("run", "j", "metrics")
    assert shown.exit_code == 0
    assert shown.output.count(name) >= 5


def test_an_answer_with_ragged_lists_is_shown(flstore: Flstore, script: Script) -> None:
    result = {
        "ragged": [[1], [2, 3], []],
        "mixed": [4, [5, 6], {"a": 7}, None],
        "objects": [{"b": 8}, 9],
        "empty": [[]],
    }
    script.reply(ANSWER | {"result": result, "execution": EXECUTION})
    shown = flstore("run", "j", "metrics")
    assert shown.exit_code == 0
    assert all(str(number) in shown.output for number in range(1, 10))


@pytest.mark.parametrize(
    ("args", "path", "said"),
    [
        (("c1",), "/v1/jobs/j/rounds/3/clients/c1", "taken back from round 3: c1"),
        (("--aggregate",), "/v1/jobs/j/rounds/3/aggregate", "taken back from round 3: aggregate"),
        (("--all",), "/v1/jobs/j/rounds/3", "taken back from round 3: c1, c2"),
    ],
)
def test_updates_are_taken_back(flstore: Flstore, script: Script, args: tuple[str, ...], path: str, said: str) -> None:
    script.reply({"job": "j", "round": 3, "dropped": ["c1", "c2"]})
    result = flstore("drop", "j", "3", *args)
    assert (result.exit_code, result.output.strip()) == (0, said)
    assert [(seen.method, seen.path) for seen in script.seen] == [("DELETE", path)]


def test_a_round_that_was_empty_is_said_to_have_been(flstore: Flstore, script: Script) -> None:
    script.reply({"job": "j", "round": 3, "dropped": []})
    assert "round 3 was empty" in flstore("drop", "j", "3", "--all").output


@pytest.mark.parametrize("args", [(), ("c1", "--all"), ("--aggregate", "--all")])
def test_what_is_taken_back_has_to_be_clear(flstore: Flstore, script: Script, args: tuple[str, ...]) -> None:
    result = flstore("drop", "j", "3", *args)
    assert result.exit_code == 2
    assert "name a client, or give --aggregate or --all" in result.output
    assert script.seen == []


ERASURE = {"client": "c1", "rounds": [0, 2], "objects": 7, "tombstone": "audit/j/c1-1.000000.json"}


def test_a_client_is_erased_and_what_remains_is_said(flstore: Flstore, script: Script) -> None:
    removed = {"updates": 2, "files": 2, "statistics": 1, "artifacts": 1, "operations": 0}
    audit = ["audit/j/c1-1.000000.json"]
    remains = {"aggregates": [0, 2], "audit_records": audit, "old_versions": "locked", "elsewhere": "backups"}
    script.reply({**ERASURE, "removed": removed, "remains": remains})
    result = flstore("erase", "j", "c1", "--yes")
    assert result.output.splitlines() == [
        "erased c1 from job j: 2 updates, 1 model made of them",
        "remains: what it added to the aggregates of rounds 0, 2",
        "remains: audit record audit/j/c1-1.000000.json",
        "may remain: old versions in the store: locked",
        "out of reach: backups",
    ]
    assert [(seen.method, seen.path) for seen in script.seen] == [("DELETE", "/v1/jobs/j/clients/c1")]


def test_an_older_server_counts_objects_only(flstore: Flstore, script: Script) -> None:
    script.reply(ERASURE)
    assert flstore("erase", "j", "c1", "--yes").output.splitlines() == [
        "erased c1 from job j: 7 objects",
        "remains: audit record audit/j/c1-1.000000.json",
    ]


def test_an_erasure_is_not_made_by_mistake(flstore: Flstore, script: Script) -> None:
    assert flstore("erase", "j", "c1").exit_code != 0
    assert script.seen == []
