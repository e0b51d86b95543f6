"""Writes the results page, its pictures, and the summaries that they show."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from loadgen.experiments.base import Outcome, Report
from loadgen.experiments.design import Design
from loadgen.pictures.files import save
from loadgen.run.machine import machine

BEGIN, END = "<!-- experiments: begin -->", "<!-- experiments: end -->"
"""The page is generated between these marks; the text around them is written by hand and kept."""


@dataclass(frozen=True)
class Section:
    """One finished experiment."""

    title: str
    design: Design
    outcomes: Sequence[Outcome]
    report: Report


def write(sections: Sequence[Section], folder: Path, command: str) -> Path:
    """Write the generated part of the page, pictures and summaries into `folder`; return the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for section in sections:
        summary = [asdict(outcome) for outcome in section.outcomes]
        _write(folder / f"{section.design.name}.json", json.dumps(_without_curves(summary), indent=1) + "\n")
        for name, picture in section.report.pictures.items():
            save(picture, folder, name)
    page = folder / "README.md"
    earlier = page.read_text(encoding="utf-8") if page.exists() else f"# Results\n\n{BEGIN}\n{END}\n"
    before, after = earlier[: earlier.index(BEGIN) + len(BEGIN)], earlier[earlier.index(END) :]
    made = "\n".join([machine(command), *map(_section, sections)])
    _write(page, f"{before}\n\n{made}\n{after}")
    return page


def _section(section: Section) -> str:
    seconds = sum(outcome.seconds for outcome in section.outcomes)
    loads = [outcome.load for outcome in section.outcomes]
    ran = f"{len(loads)} cells in {seconds:.0f} s; load average {min(loads):.1f} to {max(loads):.1f}"
    seeds = ", ".join(map(str, section.design.seeds))
    return f"## {section.title}\n\n{section.design.about} Seeds {seeds}; {ran}.\n\n{section.report.text}"


def _without_curves(value: object) -> object:
    """Return JSON values without the points of curves: they lie beside the pictures that show them."""
    if isinstance(value, Mapping):
        return {name: _without_curves(each) for name, each in value.items() if name != "curve"}
    return [_without_curves(each) for each in value] if isinstance(value, list) else value


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
