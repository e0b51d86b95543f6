"""Is a rendered object one that the cluster would take? Strictly: fields nobody knows are errors too."""

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from cloudcoil.models.knative_serving.serving.v1 import Service as KnativeService
from cloudcoil.models.prometheus_operator.v1 import PodMonitor, PrometheusRule
from kubernetes_validate.utils import schema_contents  # type: ignore[import-untyped]
from pydantic import BaseModel, ValidationError
from referencing import Registry, Resource

from tests.chart.foreign import schemas

KUBERNETES = "1.34"
SCHEMAS = f"kubernetes-json-schema/v{KUBERNETES}.0-local-strict"
CRD = Path(__file__).parents[2] / "manifests" / "crd" / "fljobs.yaml"

Json = dict[str, Any]

MODELS: dict[tuple[str, str], type[BaseModel]] = {
    ("serving.knative.dev/v1", "Service"): KnativeService,
    ("monitoring.coreos.com/v1", "PodMonitor"): PodMonitor,
    ("monitoring.coreos.com/v1", "PrometheusRule"): PrometheusRule,
}


def problems(item: Json) -> list[str]:
    """Return what is wrong with an object, each with where it is; nothing when it is well."""
    what = f"{item['kind']} {item['metadata']['name']}"
    return [f"{what}: {each}" for each in _checker(item["apiVersion"], item["kind"])(item)]


def _checker(api_version: str, kind: str) -> Callable[[Json], list[str]]:
    if model := MODELS.get((api_version, kind)):
        return functools.partial(_against_model, model)
    if api_version.startswith("flstore.dev/"):
        return _against_crd
    if schema := _foreign_schemas().get((api_version, kind)):
        return functools.partial(_against_schema, schema)
    return lambda item: list(_against_kubernetes(json.dumps(item, sort_keys=True)))


@functools.cache
def _against_kubernetes(text: str) -> tuple[str, ...]:
    """Most objects are the same under many values: each is looked at once."""
    item = json.loads(text)
    group, _, version = item["apiVersion"].rpartition("/")
    name = f"{item['kind'].lower()}-{'-'.join(filter(None, [group.partition('.')[0], version]))}"
    validator = _kubernetes_validator(name)
    if validator is None:
        return (f"Kubernetes {KUBERNETES} knows no {name}",)
    return tuple(f"{_path(error)}: {error.message}" for error in validator.iter_errors(item))


@functools.cache
def _kubernetes_validator(name: str) -> jsonschema.Draft202012Validator | None:
    try:
        schema = schema_contents(f"{SCHEMAS}/{name}.json", KUBERNETES)
    except FileNotFoundError:
        return None
    return jsonschema.Draft202012Validator(schema, registry=_kubernetes_definitions())


@functools.cache
def _kubernetes_definitions() -> Any:
    """Read once what the package itself reads for every object."""
    definitions = schema_contents(f"{SCHEMAS}/_definitions.json", KUBERNETES)
    return Resource.from_contents(definitions) @ Registry()


def _against_model(model: type[BaseModel], item: Json) -> list[str]:
    """Models of that package let unknown fields pass, so what comes back is compared with what went in.

    They are strict: otherwise they make a number of the quantity "1", and fail over the pattern that it has.
    """
    try:
        known = model.model_validate(item, strict=True).model_dump(by_alias=True, exclude_unset=True, mode="json")
    except ValidationError as error:
        return [f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors()]
    return [f"{path}: no such field" for path in _lost(item, known)]


def _lost(given: Any, known: Any, path: str = "") -> Iterator[str]:
    if isinstance(given, dict) and isinstance(known, dict):
        for name, value in given.items():
            if name in known:
                yield from _lost(value, known[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}"
    elif isinstance(given, list) and isinstance(known, list):
        for index, (one, other) in enumerate(zip(given, known, strict=True)):
            yield from _lost(one, other, f"{path}[{index}]")


def _against_crd(item: Json) -> list[str]:
    schema = _crd_schemas().get(item["apiVersion"])
    if schema is None:
        return [f"apiVersion {item['apiVersion']} is not served"]
    return _against_schema(schema, item)


def _against_schema(schema: Json, item: Json) -> list[str]:
    found = jsonschema.Draft202012Validator(schema).iter_errors(item)
    return [f"{_path(error)}: {error.message}" for error in found]


@functools.cache
def _foreign_schemas() -> dict[tuple[str, str], Json]:
    return {kind: _closed(schema, top=True) for kind, schema in schemas()}


@functools.cache
def _crd_schemas() -> dict[str, Json]:
    """Return apiVersion → schema, closed to fields it does not name, as the API server prunes them."""
    spec = yaml.safe_load(CRD.read_text())["spec"]
    return {
        f"{spec['group']}/{version['name']}": _closed(version["schema"]["openAPIV3Schema"], top=True)
        for version in spec["versions"]
    }


def _closed(schema: Any, *, top: bool = False) -> Any:
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(value) for name, value in schema.items()}
    is_open = closed.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in closed
    if isinstance(closed.get("properties"), dict) and not is_open:
        closed["additionalProperties"] = False
    if top:
        closed["properties"]["metadata"] = {"type": "object"}
    return closed


def _path(error: Any) -> str:
    return ".".join(str(part) for part in error.absolute_path) or "."
