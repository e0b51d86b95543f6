"""What is generated: the chart's README from its values, and files that are written whole."""

import json
from pathlib import Path

import pytest
import yaml

from flstore_core.policies import policy_names
from manifests import __main__ as command
from manifests import chart, generated, readme
from manifests.readme import Entry

VALUES = """
# -- Number of shards.
shards:
  count: 2
  # -- Memory of each cache.
  cacheBytes: 512MiB
  # not for the table
  hidden: 1
# -- Secrets to pull images with.
pullSecrets: []
# -- Labels of pods,
# and of services.
labels: {team: fl}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "values.yaml").write_text(VALUES)
    return tmp_path


def test_values_with_a_marked_comment_are_documented_under_their_path(folder: Path) -> None:
    assert list(readme.entries(folder)) == [
        Entry("shards", {"count": 2, "cacheBytes": "512MiB", "hidden": 1}, "Number of shards."),
        Entry("shards.cacheBytes", "512MiB", "Memory of each cache."),
        Entry("pullSecrets", [], "Secrets to pull images with."),
        Entry("labels", {"team": "fl"}, "Labels of pods, and of services."),
    ]


def test_the_table_shows_defaults_as_yaml_and_empty_ones_not_at_all(folder: Path) -> None:
    text = readme.render(folder)
    assert text.startswith("# The chart `flstore`\n")
    assert "| `shards.cacheBytes` | `512MiB` | Memory of each cache. |\n" in text
    assert "| `pullSecrets` |  | Secrets to pull images with. |\n" in text
    assert "| `labels` | `{team: fl}` | Labels of pods, and of services. |\n" in text


def test_every_documented_value_of_the_chart_exists_once() -> None:
    entries = list(readme.entries(chart.CHART))
    assert len({entry.path for entry in entries}) == len(entries) > 30
    assert [entry.path for entry in entries if not entry.text.endswith(".")] == []


def test_generated_files_parse_and_the_schema_allows_every_policy() -> None:
    files = generated.generated()
    for path, text in files.items():
        assert text.endswith("\n"), path
        if path.endswith(".json"):
            json.loads(text)
        if path.endswith((".yml", ".yaml")):
            assert list(yaml.safe_load_all(text)), path
    schema = json.loads(files[generated.SCHEMA])
    assert schema["properties"]["shards"]["properties"]["policy"] == {"enum": policy_names()}


def test_the_command_writes_each_file_into_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "ROOT", tmp_path)
    monkeypatch.setattr(command, "generated", lambda: {"charts/a/b.json": "{}\n"})
    monkeypatch.setattr(command, "samples", lambda: {"manifests/samples/c.yaml": "kind: C\n"})
    for path in ("charts/a", "manifests/samples"):
        (tmp_path / path).mkdir(parents=True)
    command.main()
    assert (tmp_path / "charts/a/b.json").read_text() == "{}\n"
    assert (tmp_path / "manifests/samples/c.yaml").read_text() == "kind: C\n"


def test_values_that_the_chart_refuses_are_an_error_with_the_path() -> None:
    with pytest.raises(chart.ChartError, match="count"):
        chart.render({"shards": {"count": -1}})


def test_notes_name_the_release() -> None:
    assert "flstore" in chart.notes(generated.SAMPLES["laptop"])


def test_the_chart_rendered_has_each_object_once_in_a_fixed_order() -> None:
    objects = chart.render(generated.SAMPLES["laptop"])
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert names == sorted(names)
    assert len(set(names)) == len(names)
