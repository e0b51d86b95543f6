"""What is generated in docs/workloads.md, between marks: the catalogue and the planted-truth tables."""

from collections.abc import Iterable, Sequence
from inspect import getdoc
from pathlib import Path

from flstore_core.workloads import registry
from flstore_core.workloads.registry import AnyWorkload

PAGE = Path(__file__).parents[2] / "docs" / "workloads.md"


def replaced(text: str, name: str, body: str) -> str:
    """Return a page with `body` between the marks of that name."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, after = text[: text.index(begin) + len(begin)], text[text.index(end) :]
    return f"{before}\n\n{body}\n\n{after}"


def catalogue() -> str:
    """Return the built-in workloads as a Markdown table."""
    built_in = [
        workload for workload in registry.load().values() if type(workload).__module__.startswith("flstore_core.")
    ]
    columns = ["workload", "pattern", "needs", "what it answers", "source"]
    return markdown(columns, map(_described, built_in))


def section(
    tables: Iterable[tuple[str, Sequence[str], Sequence[Sequence[str]]]], seeds: Sequence[int], shares: Sequence[float]
) -> str:
    """Return the planted-truth tables as Markdown, under their titles."""
    several = " and ".join(map(str, seeds))
    percent = ", ".join(f"{100 * share:.0f}" for share in shares)
    head = (
        f"Seeds {several}; attackers are {percent} % of the clients, all shares together in a row. Recall / precision "
        "are over participations: every round is asked about once the training is over, and an attacker counts in each "
        "round that it takes part in."
    )
    return "\n\n".join([head, *(f"### {title}\n\n{markdown(columns, rows)}" for title, columns, rows in tables)])


def markdown(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _described(workload: AnyWorkload) -> list[str]:
    summary = (getdoc(type(workload)) or "").partition("\n")[0]
    return [f"`{workload.name}`", workload.pattern.value, workload.needs.value, summary, workload.source]


def main() -> None:
    """Write the catalogue into the page."""
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), "catalogue", catalogue()), encoding="utf-8")


if __name__ == "__main__":
    main()
