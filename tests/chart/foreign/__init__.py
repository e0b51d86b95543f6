"""Schemas of kinds that others define and of which no package has models: JSON that was made from their CRDs.

    python -m tests.chart.foreign tests/chart/foreign "KServe v0.20.0, …, Apache-2.0" CRDS/*.yaml

writes one file for each CRD, with the schema of its newest served version. Descriptions and the status are left out. A
pod's specification stands in a CRD several times, so equal parts are written once and referred to: 2.2 MB become 70 kB.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = Any
FOLDER = Path(__file__).parent
_SHORTEST = 60
"""Length of the shortest part that is worth a reference, as JSON."""


def schemas() -> Iterator[tuple[tuple[str, str], Json]]:
    """Yield (apiVersion, kind) and the schema of each kind."""
    for path in sorted(FOLDER.glob("*.json")):
        document = json.loads(path.read_text())
        yield (document["apiVersion"], document["kind"]), document["schema"]


def document_of(definition: Json, source: str) -> Json:
    """Return what is kept of a CRD."""
    spec = definition["spec"]
    version = next(each for each in reversed(spec["versions"]) if each["served"])
    schema = _without_descriptions(version["schema"]["openAPIV3Schema"])
    schema["properties"].pop("status", None)
    return {
        "source": source,
        "apiVersion": f"{spec['group']}/{version['name']}",
        "kind": spec["names"]["kind"],
        "schema": _sharing(schema),
    }


def _without_descriptions(schema: Json, *, names: bool = False) -> Json:
    """Return a schema without its texts. A property may be called `description`: `names` says that keys are names."""
    if isinstance(schema, list):
        return [_without_descriptions(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = schema.items() if names else [(key, value) for key, value in schema.items() if key != "description"]
    return {key: _without_descriptions(value, names=key == "properties" and not names) for key, value in kept}


def _sharing(schema: Json) -> Json:
    """Return a schema in which what comes several times stands in `$defs`."""
    counts: Counter[str] = Counter()
    _count(schema, counts)
    names = {text: str(number) for number, text in enumerate(text for text, count in counts.items() if count > 1)}
    return {
        **_shared(schema, names),
        "$defs": {name: _parts_of(json.loads(text), names) for text, name in names.items()},
    }


def _count(schema: Json, counts: Counter[str]) -> None:
    if isinstance(schema, dict):
        text = json.dumps(schema, sort_keys=True)
        counts[text] += len(text) >= _SHORTEST
        if counts[text] > 1:
            return
    for each in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        _count(each, counts)


def _shared(schema: Json, names: dict[str, str]) -> Json:
    if isinstance(schema, dict) and (name := names.get(json.dumps(schema, sort_keys=True))):
        return {"$ref": f"#/$defs/{name}"}
    return _parts_of(schema, names)


def _parts_of(schema: Json, names: dict[str, str]) -> Json:
    if isinstance(schema, dict):
        return {key: _shared(value, names) for key, value in schema.items()}
    return [_shared(each, names) for each in schema] if isinstance(schema, list) else schema
