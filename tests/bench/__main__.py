"""`python -m tests.bench [NAME …]`: run the benchmarks, print a table, write build/bench.json."""

import importlib
import json
import pkgutil
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import tests.bench
from flstore_core import buffers
from tests.bench.row import Row

OUTPUT = Path("build/bench.json")
NO_SUBJECT = frozenset({"row", "resnet", "system", "__main__"})


def main(names: list[str]) -> None:
    console = Console(stderr=True)
    rows: list[Row] = []
    if unknown := sorted(set(names) - set(subjects())):
        sys.exit(f"no benchmark is called {', '.join(unknown)}; there are {', '.join(subjects())}")
    buffers.keep_freed()  # so that no peer pays for fresh memory, whatever ran before it
    for name in names or subjects():
        console.print(f"[bold]{name}[/bold] …")
        for row in importlib.import_module(f"tests.bench.{name}").rows():
            rows.append(row)
            console.print(f"  {escape(row.name)} = {row.value:.4g} {row.unit}")
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps([row.to_json() for row in rows], indent=1) + "\n")
    Console(width=140).print(_table(rows))


def subjects() -> list[str]:
    """Return the names of the modules that hold benchmarks."""
    return sorted(module.name for module in pkgutil.iter_modules(tests.bench.__path__) if module.name not in NO_SUBJECT)


def _table(rows: list[Row]) -> Table:
    table = Table("figure", "value", "target", "met", "note")
    for row in rows:
        shown = row.to_json()
        met = "[green]yes[/green]" if row.met else "[red]no[/red]"
        table.add_row(escape(row.name), f"{row.value:.4g} {row.unit}", str(shown["target"]), met, row.note)
    return table


if __name__ == "__main__":
    main(sys.argv[1:])
