"""Our custom resource as an API server treats it: defaults, pruning, validation, and rules that compare old and new."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

Json = dict[str, Any]

CRD = Path(__file__).parents[2] / "manifests" / "crd" / "fljobs.yaml"
UNCHANGED = "self == oldSelf"
"""The one rule that is evaluated here; a real server knows the others too."""


@cache
def schema() -> Json:
    rules: Json = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return rules


def admitted(item: Json) -> Json:
    """Return the object as it is stored: with defaults, without unknown fields."""
    return {
        **_pruned(item, schema()),
        "apiVersion": item["apiVersion"],
        "kind": item["kind"],
        "metadata": item["metadata"],
    }


def complaints(item: Json, before: Json | None) -> list[str]:
    """Return what is wrong with an object, as a server would say it."""
    validator = jsonschema.Draft202012Validator(schema())
    messages = [f"{_dotted(error.absolute_path)}: {error.message}" for error in validator.iter_errors(item)]
    return messages + (list(_changed(item, before, schema(), "")) if before else [])


def _pruned(value: Any, rules: Json) -> Any:
    if isinstance(value, list):
        return [_pruned(inner, rules.get("items", {})) for inner in value]
    if not isinstance(value, dict) or "properties" not in rules:
        return value
    fields = rules["properties"]
    kept = {key: _pruned(inner, fields[key]) for key, inner in value.items() if key in fields}
    defaults = {key: inner["default"] for key, inner in fields.items() if "default" in inner and key not in kept}
    return {**kept, **defaults}


def _changed(after: Any, before: Any, rules: Json, path: str) -> Iterator[str]:
    if after is None or before is None:
        return
    for rule in rules.get("x-kubernetes-validations", ()):
        if rule["rule"] == UNCHANGED and after != before:
            yield f"{path}: {rule['message']}"
    if isinstance(after, dict) and isinstance(before, dict):
        for key, inner in rules.get("properties", {}).items():
            yield from _changed(after.get(key), before.get(key), inner, f"{path}.{key}".lstrip("."))


def _dotted(path: Any) -> str:
    return ".".join(str(part) for part in path)
