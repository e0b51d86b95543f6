"""Who did how well: contributions, payments, scores, and how evenly they lie."""

from collections.abc import Mapping, Sequence

from flstore_core.presentation.base import Answer, Listing, Row, View
from flstore_core.presentation.words import counted, listed, percent, shown


def _most(rows: Sequence[Row]) -> str:
    most = max(rows, key=_value)
    return f"{most['client']} contributes the most ({shown(most['value'])})"


def _least(rows: Sequence[Row], worse: str) -> str:
    """Return who made the round worse, or else who has the least."""
    ascending = sorted(rows, key=_value)
    if negative := [row["client"] for row in ascending if row["value"] < 0]:
        return f"{worse}: {listed(negative)}"
    return f"{ascending[0]['client']} the least ({shown(ascending[0]['value'])})"


def _value(row: Row) -> float:
    return float(row["value"])


def _contribution(answer: Answer) -> str:
    rows = answer["contributions"]
    return f"Round {answer['round']}: {_most(rows)}; {_least(rows, 'against the direction of the round')}"


def _evaluated(answer: Answer) -> str:
    rows = answer["shares"]
    gain = f"utility {shown(answer['before'])} before, {shown(answer['after'])} after"
    return f"Round {answer['round']}: {gain}; {_most(rows)}; {_least(rows, 'harmful')}"


def _payments(answer: Answer) -> str:
    rows = answer["payments"]
    most = max(rows, key=lambda row: row["amount"])
    nothing = [row["client"] for row in rows if not row["amount"]]
    none = f"; nothing for {listed(nothing)}" if nothing else ""
    split = f"{answer['budget']:,} split among {counted(len(rows), 'client')}"
    return f"Round {answer['round']}: {split}; {most['client']} gets the most ({most['amount']:,}){none}"


def _scores(answer: Answer) -> str:
    best = next(row for row in answer["models"] if row["model"] == answer["best"])
    accuracy = "" if best["accuracy"] is None else f", accuracy {percent(best['accuracy'])}"
    data = f"{counted(answer['examples'], 'example')} of {answer['dataset']}"
    first = f"Best of {counted(len(answer['models']), 'model')} on {data}: {best['model']}"
    return f"{first}, loss {shown(best['loss'])}{accuracy}"


def _classes(answer: Answer) -> list[Row]:
    """Return the figures by class of a single model; those of several are in the JSON."""
    models: Sequence[Row] = answer["models"]
    return list(models[0]["classes"]) if len(models) == 1 else []


def _fairness(answer: Answer) -> str:
    report = (
        f"{answer['reporting']:,} of {counted(answer['clients'], 'client')} report {shown(answer['mean'])} on average"
    )
    evenly = f"Jain's index {shown(answer['jain'])}, of participation {shown(answer['participation_jain'])} (1 is even)"
    return f"{report}; {evenly}"


def _participations(answer: Answer) -> list[Row]:
    return [{"client": name, "participations": count} for name, count in answer["participations"].items()]


def _greatest_first(row: Row) -> float:
    return -_value(row)


VIEWS: Mapping[str, View] = {
    "contribution": View(
        _contribution,
        [
            Listing(
                "contributions",
                ["client", "value", "standard_error"],
                _greatest_first,
                "contributions, the greatest first",
            ),
        ],
        ["round"],
    ),
    "contribution-evaluated": View(
        _evaluated,
        [
            Listing(
                "shares",
                ["client", "value", "standard_error"],
                _greatest_first,
                "shares of the gain, the greatest first",
            ),
        ],
        ["round", "before", "after"],
    ),
    "incentives": View(
        _payments,
        [
            Listing(
                "payments",
                ["client", "amount", "contribution"],
                lambda row: -row["amount"],
                "payments, the greatest first",
            ),
        ],
        ["round", "budget"],
    ),
    "evaluate": View(
        _scores,
        [
            Listing("models", ["model", "loss", "accuracy"], lambda row: row["loss"], "models, the best first"),
            Listing("models", ["label", "recall", "precision", "examples"], title="classes", rows=_classes),
        ],
        ["best", "dataset", "examples"],
    ),
    "fairness": View(
        _fairness,
        [
            Listing(
                "participations",
                ["client", "participations"],
                lambda row: row["participations"],
                "participations, the fewest first",
                _participations,
            ),
        ],
        ["clients", "reporting", "mean", "jain", "participation_jain"],
    ),
}
