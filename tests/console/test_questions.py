"""The same question as lines to copy: run as they stand."""

import json
import shlex
from typing import Any

import pytest

from services.console.parts import questions

URL = "http://127.0.0.1:8080"
NAMES = ["job", "Hospital A", "it's", '"; rm -rf /', "$(reboot)", "<script>", "\u05d0\u05d1"]


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_takes_the_request_apart_as_it_was_meant(name: str) -> None:
    words = shlex.split(questions.as_curl(URL, "job", "clustering", {"root": name, "round": 3}).replace("\\\n", ""))
    assert words[0] == "curl"
    assert f"{URL}/v1/jobs/job/workloads/clustering" in words
    assert json.loads(words[-1]) == {"root": name, "round": 3}


def test_a_request_names_clients_as_the_store_keeps_them() -> None:
    words = shlex.split(questions.as_curl(URL, "My job", "drift", {"client": "Hospital A"}).replace("\\\n", ""))
    assert f"{URL}/v1/jobs/x--My_20job/workloads/drift" in words
    assert json.loads(words[-1]) == {"client": "x--Hospital_20A"}


@pytest.mark.parametrize("name", NAMES)
def test_python_gets_the_very_values(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Store:
        def __init__(self, url: str, token: str | None) -> None:
            asked.append(url)

        def run(self, job: str, workload: str, **params: Any) -> Any:
            asked.append((job, workload, params))
            return self

        result = "answer"

    monkeypatch.setattr("flstore_core.client.FLStore", Store)
    exec(questions.as_python(URL, name, "clustering", {"root": name, "not a name": 1}))
    assert asked == [URL, (name, "clustering", {"root": name, "not a name": 1})]
    asked.clear()
    exec(questions.as_python(URL, name, "clustering", {}))
    assert asked[1] == (name, "clustering", {})


@pytest.mark.parametrize("name", NAMES)
def test_a_command_has_its_parameters_as_json(name: str) -> None:
    words = shlex.split(questions.as_command(URL, name, "clustering", {"root": name, "clients": [name], "round": 3}))
    assert words[:5] == [f"FLSTORE_URL={URL}", "flstore", "run", name, "clustering"]
    given = dict(word.split("=", 1) for word in words[6::2])
    assert {key: json.loads(value) for key, value in given.items()} == {"root": name, "clients": [name], "round": 3}


def test_no_line_has_a_token() -> None:
    asked = URL, "job", "clustering", {"round": 3}
    for line in (questions.as_curl(*asked), questions.as_python(*asked), questions.as_command(*asked)):
        assert "Bearer $FLSTORE_TOKEN" in line or "FLSTORE_TOKEN" in line or "token" not in line
