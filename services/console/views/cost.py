"""What requests cost, by kind and by day, and what the same ones would have cost at both baselines."""

from collections.abc import Mapping

from flstore_core.client.async_client import AsyncFLStore
from flstore_core.presentation.words import counted
from services.console import links
from services.console.parts import charts, numbers, spending, states, tables
from services.console.parts.elements import block, facts, link, section, text
from services.console.parts.pictures import picture
from services.console.parts.spending import Amount


async def show(gateway: AsyncFLStore, parameters: Mapping[str, str]) -> None:
    """Draw the view; with `job` in the address, of one job alone."""
    job = parameters.get("job")
    cost = (await gateway.cost(job)).raw
    if job:
        with block("p"):
            text(f"Of {job} alone. ")
            link("All jobs", links.COST)
    if not cost["days"]:
        states.empty(
            "Nothing has cost anything yet",
            f"This gateway counts since {numbers.instant(cost['since'])}. Store an update, or ask something.",
        )
        return
    kinds, days = spending.by_kind(cost["days"]), spending.summed(cost["days"], lambda row: str(row["day"]))
    _draw_sum(cost["days"], numbers.instant(cost["since"]))
    with section("By kind"):
        tables.table(_COLUMNS, [_row(name, each) for name, each in kinds.items()], label="cost by kind of request")
    with section("By day", "Questions alone: storing updates costs the baselines something else."):
        answered = [row for row in cost["days"] if spending.amount(row).is_compared]
        _draw_days(spending.summed(answered, lambda row: str(row["day"])))
        tables.table(_COLUMNS, [_row(day, each) for day, each in reversed(days.items())], label="cost by day")


_COLUMNS = ("", "requests", "here", "an object store", "an in-memory cache", "saved beside the cheaper")


def _row(name: str, each: Amount) -> list[tables.Cell]:
    here = tables.Figure(each.dollars, numbers.dollars(each.dollars))
    if not each.is_compared:
        return [name, each.requests, here, None, None, None]
    elsewhere = [tables.Figure(value, numbers.dollars(value)) for value in (each.objstore, each.cache)]
    cheaper = min(each.objstore, each.cache)
    return [
        name,
        each.requests,
        here,
        *elsewhere,
        tables.Figure(-each.dollars / cheaper, numbers.factor(each.dollars, cheaper)),
    ]


def _draw_sum(rows: list[Mapping[str, object]], since: str) -> None:
    total = spending.compared(rows)
    everything = sum(map(spending.amount, rows), Amount())
    with section("So far", f"Requests that this gateway answered since {since}, by published prices."):
        facts(
            {
                "everything": numbers.dollars(everything.dollars),
                counted(total.requests, "question"): numbers.dollars(total.dollars),
                "the same at an object store": numbers.dollars(total.objstore),
                "the same at an in-memory cache": numbers.dollars(total.cache),
            }
        )


def _draw_days(days: Mapping[str, Amount]) -> None:
    if not days:
        return
    series = {
        "here": [each.dollars for each in days.values()],
        "an object store": [each.objstore for each in days.values()],
        "an in-memory cache": [each.cache for each in days.values()],
    }
    here, elsewhere = (numbers.dollars(sum(series[name])) for name in ("here", "an object store"))
    options = charts.bars(list(days), series, y_name="dollars", logarithmic=True)
    picture(options, f"Dollars by day: {here} here, {elsewhere} at an object store")
