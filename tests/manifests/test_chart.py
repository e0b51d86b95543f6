"""The chart through the `helm` on the PATH, which is a script of the test's."""

from pathlib import Path

import pytest

from manifests import chart

OBJECTS = """
kind: Service
metadata: {name: b}
---
kind: ConfigMap
metadata: {name: a}
---
"""


@pytest.fixture
def helm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a `helm` first on the PATH; it keeps its arguments and values beside it, and prints `output`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "helm"
    script.write_text(
        '#!/bin/sh\ncd "$(dirname "$0")"\necho "$@" > arguments\nfor last; do :; done\n'
        'for word; do test "$before" = --values && cat "$word" > values; before="$word"; done\n'
        "test -f fails && { cat fails >&2; exit 1; }\ncat output\n"
    )
    script.chmod(0o755)
    (folder / "output").write_text(OBJECTS)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_objects_are_rendered_in_a_fixed_order(helm: Path) -> None:
    objects = chart.render({"shards": {"count": 3}})
    assert [(each["kind"], each["metadata"]["name"]) for each in objects] == [("ConfigMap", "a"), ("Service", "b")]
    assert (helm / "values").read_text() == "shards:\n  count: 3\n"
    arguments = (helm / "arguments").read_text().split()
    assert arguments[:3] == ["template", "flstore", str(chart.CHART)]
    assert "--is-upgrade" not in arguments


def test_an_upgrade_is_rendered_as_one(helm: Path) -> None:
    chart.render({}, upgrade=True)
    assert "--is-upgrade" in (helm / "arguments").read_text().split()


def test_what_helm_says_is_the_error(helm: Path) -> None:
    (helm / "fails").write_text("Error: values don't meet the specifications of the schema\n")
    with pytest.raises(chart.ChartError, match="values don't meet the specifications"):
        chart.render({})


@pytest.mark.parametrize("name", ["laptop", "cluster"])
def test_the_samples_values_raise_no_complaint(name: str) -> None:
    from manifests.generated import SAMPLES

    assert chart.lint(SAMPLES[name]) == []


def test_a_complaint_names_the_value() -> None:
    assert any("count" in each for each in chart.lint({"shards": {"count": "many"}}))
