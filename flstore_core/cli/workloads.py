"""`flstore workloads`."""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from flstore_core.cli.session import Session, connected
from flstore_core.cli.tables import table
from flstore_core.errors import unknown


@click.command("workloads")
@click.argument("name", required=False)
@connected
def workloads_command(session: Session, name: str | None) -> None:
    """List the workloads the server offers; with NAME, one workload's parameters."""
    found = [workload.raw for workload in session.client.workloads()]
    if name is None:
        rows = [[each["name"], each["pattern"], each["needs"], each["summary"]] for each in found]
        session.show(found, table("", ["workload", "pattern", "needs", "answers"], rows))
        return
    named = {each["name"]: each for each in found}
    if name not in named:
        raise unknown("workload", name, named)
    chosen = named[name]
    parameters = table("Parameters", ["name", "type", "default", ""], list(_parameters(chosen["parameters"])))
    headline = f"[bold]{name}[/] ({chosen['pattern']}, from {chosen['needs']})\n{chosen['summary']}\n"
    session.show(chosen, headline, f"[dim]{chosen['source']}[/]\n", parameters)


def _parameters(schema: Mapping[str, Any]) -> Iterator[list[str]]:
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        default = "required" if name in required else str(field.get("default"))
        yield [name, _type(field), default, field.get("description", "")]


def _type(field: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(each) for each in field["anyOf"] if each.get("type") != "null")
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "items" in field:
        return f"list of {_type(field['items'])}"
    return str(field.get("type") or field.get("const") or field.get("$ref", "object").rsplit("/", 1)[-1])
