"""Writes the study into `docs/policies.md`: tables between two marks, and pictures."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import TypeVar

from flstore_core.policies.registry import BELADY, ablation_names, how_built, rival_names
from loadgen.pictures.base import Axis, Picture
from loadgen.pictures.files import save
from loadgen.study.cells import ABLATED_MIX, BUDGETS, HOURS, PATTERNS, REQUESTS, ROUNDS, SEEDS, Measured
from loadgen.traces.mixes import MIXES

BEGIN, END = "<!-- study: begin -->", "<!-- study: end -->"
Column = TypeVar("Column")
POLICIES = ("tailored", *rival_names(), BELADY)
CURVES = ("tailored", "belady", "lru", "lru+arrival", "s3-fifo", "gdsf+arrival", "lfu", "random")
"""Policies in the pictures: chosen by hand, since more lines cannot be told apart. The tables have all."""
SHOWN_BUDGET = 2
CLOSE = 0.005
"""Hit rates that differ by less count as equal."""


def write_report(measured: Sequence[Measured], page: Path) -> None:
    """Write tables into `page` between its marks, and a picture for each mix into the folder `images` beside it."""
    images = page.parent / "images"
    images.mkdir(parents=True, exist_ok=True)
    for mix in MIXES:
        save(pictured(measured, mix), images, f"policies-{mix}")
    text = page.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    page.write_text(f"{before}\n\n{tables(measured)}\n{after}", encoding="utf-8")


def pictured(measured: Sequence[Measured], mix: str) -> Picture:
    """Return hit rates by budget."""
    curves = {name: [(b, mean(_rates(measured, name, mix, b))) for b in BUDGETS] for name in CURVES}
    across = Axis("budget in rounds of the model", logarithmic=True, ticks=BUDGETS)
    return Picture(f"Requests that hit, by budget: mix {mix}", curves, across, Axis.share("requests that hit"))


def tables(measured: Sequence[Measured]) -> str:
    """Return all tables as Markdown."""
    return "\n".join(_sections(measured))


def _sections(measured: Sequence[Measured]) -> Iterable[str]:
    yield (
        f"Request hit rates in per cent, mean ± standard deviation over {len(SEEDS)} seeds; traces of {ROUNDS} rounds, "
        f"{REQUESTS} requests and {HOURS:g} hours, ResNet18, 10 of 250 clients a round.\n"
    )
    yield "### All mixes, two rounds of budget\n"
    yield _table("policy", MIXES, POLICIES, lambda name, mix: _rates(measured, name, mix, SHOWN_BUDGET))
    yield "### The paper's mix by pattern, two rounds of budget\n"
    yield _table("policy", PATTERNS, POLICIES, lambda name, pattern: _rates(measured, name, "paper", 2, pattern))
    for mix in MIXES:
        yield f"### Mix {mix}, by budget in rounds\n\n![Hit rate against budget](images/policies-{mix}.svg)\n"
        yield _by_budget(measured, "policy", POLICIES, mix)
    yield "### Ablation, the paper's mix, by budget in rounds\n"
    yield _by_budget(measured, "variant", ("tailored", *ablation_names()), ABLATED_MIX)
    yield f"### What deciding costs, {how_built()}, the paper's mix, two rounds of budget\n"
    yield _costs(measured)
    yield "### Where the tailored policy is not the best\n"
    yield "\n".join(_lost(measured)) + "\n"


def _by_budget(measured: Sequence[Measured], corner: str, names: Iterable[str], mix: str) -> str:
    return _table(corner, BUDGETS, names, lambda name, budget: _rates(measured, name, mix, budget))


def _table(
    corner: str, columns: Iterable[Column], names: Iterable[str], rates: Callable[[str, Column], list[float]]
) -> str:
    """Return a Markdown table of means and spreads, one row for each name."""
    columns = list(columns)
    rows = [[f"`{name}`", *(_spread(rates(name, column)) for column in columns)] for name in names]
    return _markdown([corner, *map(str, columns)], rows)


def _spread(rates: Sequence[float]) -> str:
    return f"{100 * mean(rates):.1f} ± {100 * stdev(rates):.1f}" if len(rates) > 1 else "–"


def _costs(measured: Sequence[Measured]) -> str:
    rows = []
    for name in POLICIES[:-1]:
        here = [m for m in measured if (m.policy, m.cell.mix, m.cell.budget_rounds) == (name, "paper", SHOWN_BUDGET)]
        used = sum(m.prefetches_used for m in here) / max(1, sum(m.prefetches for m in here))
        prefetches = mean(m.prefetches for m in here)
        cost = 1e6 * mean(m.seconds_per_event for m in here)
        rows.append([f"`{name}`", f"{cost:.1f}", f"{prefetches:.0f}", f"{100 * used:.0f} %" if prefetches else "–"])
    return _markdown(["policy", "µs of CPU an event, ledger included", "prefetches", "of them used"], rows)


def _lost(measured: Sequence[Measured]) -> Iterable[str]:
    """Yield a line for each mix and budget at which a rival that could run live has more hits."""
    lost = False
    for mix in MIXES:
        for budget in BUDGETS:
            own = mean(_rates(measured, "tailored", mix, budget))
            rates = {name: mean(_rates(measured, name, mix, budget)) for name in rival_names()}
            best = max(rates, key=lambda name: rates[name])
            if rates[best] > own + CLOSE:
                lost = True
                shares = f"`{best}` {100 * rates[best]:.1f} %, `tailored` {100 * own:.1f} %"
                yield f"- Mix {mix}, {budget:g} rounds: {shares}."
    if not lost:
        yield f"In none of these mixes and budgets does an online rival lead by more than {100 * CLOSE:g} points."


def _markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _rates(measured: Iterable[Measured], policy: str, mix: str, budget: float, pattern: str = "overall") -> list[float]:
    return [
        m.hit_rates[pattern]
        for m in measured
        if m.policy == policy and m.cell.mix == mix and m.cell.budget_rounds == budget and pattern in m.hit_rates
    ]
