"""`flstore workloads`."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import click
from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from flstore_core.cli.session import Output, json_option, open_session, reported, token_option
from flstore_core.cli.tables import table
from flstore_core.errors import unknown
from flstore_core.presentation import legible, shown
from flstore_core.workloads.describe import describe_all

Description = Mapping[str, Any]
"""A workload as `GET /v1/workloads` describes it."""


@click.command("workloads")
@click.argument("name", required=False)
@click.option("--url", envvar="FLSTORE_URL", show_envvar=True, help="List what the FLStore at this address offers.")
@token_option
@json_option
def workloads_command(name: str | None, url: str | None, token: str | None, as_json: bool) -> None:
    """List workloads; with NAME, show one workload's parameters.

    These are the workloads installed here, and no server is needed. With --url or FLSTORE_URL they are those of that
    server, which may have other packages.
    """
    with reported(as_json):
        descriptions = _offered(url, token, as_json) if url else _installed()
        _show(Output(as_json), descriptions, name)


def _installed() -> list[Description]:
    return [asdict(description) for description in describe_all()]


def _offered(url: str, token: str | None, as_json: bool) -> list[Description]:
    with open_session(url, token, as_json) as session:
        return [workload.raw for workload in session.client.workloads()]


def _show(output: Output, descriptions: list[Description], name: str | None) -> None:
    if name is None:
        rows = [[each["name"], each["pattern"], each["needs"], each["summary"]] for each in descriptions]
        output.show(descriptions, table("", ["workload", "pattern", "needs", "answers"], rows))
        return
    by_name = {each["name"]: each for each in descriptions}
    if name not in by_name:
        raise unknown("workload", name, by_name)
    output.show(by_name[name], *_details(by_name[name]))


def _details(workload: Description) -> Iterator[Any]:
    yield Text.assemble(
        (legible(workload["name"]), "bold"), legible(f" ({workload['pattern']}, from {workload['needs']})")
    )
    yield Text(f"{legible(workload['summary'])}\n")
    yield Text(f"{legible(workload['source'])}\n", "dim")
    yield Text("Parameters", "bold")
    yield from _parameters(workload["parameters"])


def _parameters(schema: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Yield each parameter with its type and default, and below it what it means."""
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        default = "required" if name in required else f"default {shown(field.get('default'))}"
        yield Text.assemble((legible(name), "bold"), legible(f"  {_type(field)}, {default}"))
        yield Padding(Text(legible(" ".join(field.get("description", "").split()))), (0, 0, 0, 4))


def _type(field: Mapping[str, Any]) -> str:
    """Return a JSON Schema's type in a few words, such as `integer`, `krum | median` or `list of string`."""
    if "anyOf" in field:
        return " or ".join(_type(each) for each in field["anyOf"] if each.get("type") != "null")
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "items" in field:
        return f"list of {_type(field['items'])}"
    return str(field.get("type") or field.get("const") or field.get("$ref", "object").rsplit("/", 1)[-1])
