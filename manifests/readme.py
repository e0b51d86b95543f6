"""The chart's README: its values as a table, read from values.yaml and the comments in it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_KEY = re.compile(r"^(?P<indent> *)(?P<name>[A-Za-z]\w*):")
_COMMENT = re.compile(r"^ *# -- (?P<text>.*)$")
_MORE = re.compile(r"^ *# (?P<text>.*)$")

HEAD = """# The chart `flstore`

Installs [FLStore](../../README.md): gateway, placement controller, object store, Prometheus and Grafana, and on
request the console, on a cluster that has Knative Serving. Shards are Knative services that the controller makes; none
has a pod until it is asked.

```console
$ helm install flstore charts/flstore --namespace flstore --create-namespace
$ helm test flstore --namespace flstore
```

[docs/kubernetes.md](../../docs/kubernetes.md) goes through it step by step. The table is made from `values.yaml` by
`python -m manifests`, and a test compares them.

| value | default | what it is |
| --- | --- | --- |
"""


class Entry(NamedTuple):
    """One documented value."""

    path: str
    default: Any
    text: str


def render(chart: Path) -> str:
    """Return the whole README."""
    rows = (f"| `{entry.path}` | {_default(entry.default)} | {entry.text} |" for entry in entries(chart))
    return HEAD + "\n".join(rows) + "\n"


def entries(chart: Path) -> Iterator[Entry]:
    """Yield the documented values in their order."""
    text = (chart / "values.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    path: list[str] = []
    comment_text = ""
    for line in text.splitlines():
        if comment := _COMMENT.match(line):
            comment_text = comment["text"]
        elif comment_text and (more := _MORE.match(line)):
            comment_text += f" {more['text']}"
        elif key := _KEY.match(line):
            path = [*path[: len(key["indent"]) // 2], key["name"]]
            if comment_text:
                yield Entry(".".join(path), _at(values, path), comment_text)
            comment_text = ""


def _at(values: Any, path: list[str]) -> Any:
    for name in path:
        values = values[name]
    return values


def _default(value: Any) -> str:
    if value in ("", {}, []):
        return ""
    flow = yaml.safe_dump(value, default_flow_style=True, width=1000).strip().removesuffix("...").strip()
    return f"`{flow}`"
