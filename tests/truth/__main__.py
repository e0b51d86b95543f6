"""`python -m tests.truth`: run the trainings, print what the workloads find, write it into docs/workloads.md."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from rich.console import Console
from rich.table import Table

from tests.truth import others
from tests.truth.accusations import METHODS, Count, total, try_methods
from tests.truth.page import PAGE, replaced, section
from tests.truth.trainings import ATTACKS, LEARNING, SEEDS, SHARES, Case, cases, quiet

ALPHAS = (10.0, 0.5)
Rows = list[list[str]]


def main() -> None:
    console = Console(width=140)
    with ProcessPoolExecutor(initializer=quiet, mp_context=get_context("spawn")) as pool:
        trainings = list(cases())
        counts = dict(zip(trainings, pool.map(try_methods, trainings), strict=True))
        groups = list(pool.map(others.group_row, *zip(*_settings(), strict=True)))
        noisy = list(pool.map(others.noisy_row, *zip(*_settings(), strict=True)))
    tables = [
        ("Accusations by method", ["training", "attack", *METHODS], accusations(counts)),
        ("Planted groups: mean adjusted Rand index", ["training", "alpha", *others.METHODS], groups),
        (
            "A client with shuffled labels: how many of 9 others rank above it",
            ["training", "alpha", *others.CONTRIBUTIONS],
            noisy,
        ),
    ]
    for title, columns, rows in tables:
        console.print(_table(title, columns, rows))
    text = replaced(PAGE.read_text(encoding="utf-8"), "truth", section(tables, SEEDS, SHARES))
    PAGE.write_text(text, encoding="utf-8")


def accusations(counts: Mapping[Case, Mapping[str, Count]]) -> Rows:
    """Return a row for each way to learn and attack: recall and precision, or the number of honest clients accused."""
    rows = []
    for learning in LEARNING:
        for attack in ("", *ATTACKS):
            cells = [
                by_method for case, by_method in counts.items() if (case.learning, case.attack) == (learning, attack)
            ]
            summed = {method: total(by_method[method] for by_method in cells) for method in METHODS}
            rows.append([learning, attack or "none", *(_cell(summed[method]) for method in METHODS)])
    return rows


def _cell(count: Count) -> str:
    if not count.planted:
        return f"{count.blamed} of {count.honest} accused"
    return f"{count.recall:.2f} / {count.precision:.2f}"


def _settings() -> Sequence[tuple[str, float]]:
    return [(learning, alpha) for learning in LEARNING for alpha in ALPHAS]


def _table(title: str, columns: Sequence[str], rows: Rows) -> Table:
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    return table


if __name__ == "__main__":
    main()
