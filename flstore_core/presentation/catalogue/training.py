"""How a training goes: the course of a metric, and what hyperparameters do to it."""

from collections.abc import Mapping

from flstore_core.presentation.base import Answer, Listing, Row, View
from flstore_core.presentation.words import counted, percent, shown

_STATES = {
    "improving": "The training improves",
    "plateau": "The training stagnates",
    "diverging": "The training diverges",
}


def _convergence(answer: Answer) -> str:
    state = _STATES.get(answer["state"], answer["state"])
    best = f"best {shown(answer['best'])} in round {answer['best_round']}, newest {shown(answer['newest'])}"
    return f"{state}, by {answer['slope']:+.3g} a round; {best}{_target(answer['rounds_to_target'])}"


def _target(rounds: int | None) -> str:
    if rounds is None:
        return ""
    return f"; the target is {counted(rounds, 'round')} away" if rounds else "; the target is reached"


def _course(answer: Answer) -> list[Row]:
    rows = zip(answer["rounds"], answer["values"], strict=True)
    return [{"round": each, "value": value} for each, value in rows]


def _newest_first(row: Row) -> int:
    return -int(row["round"])


def _hyperparameters(answer: Answer) -> str:
    effects, best = answer["effects"], answer["best"]
    if not effects:
        return f"No hyperparameters are recorded in {counted(len(answer['rounds']), 'round')} with progress"
    most = max(effects, key=lambda row: row["explained"])
    first = f"{most['name']} explains {percent(most['explained'])} of the progress, the most of {len(effects)}"
    if best is None:
        return f"{first}; no setting was used often enough to be the best"
    setting = ", ".join(f"{name} {shown(each)}" for name, each in best["hyperparameters"].items())
    return f"{first}; the best so far is {setting}, with {shown(best['progress'])} a round"


def _values(answer: Answer) -> list[Row]:
    return [{"hyperparameter": effect["name"], **value} for effect in answer["effects"] for value in effect["values"]]


def _progress(answer: Answer) -> list[Row]:
    rows = zip(answer["rounds"], answer["progress"], strict=True)
    return [{"round": each, "progress": value} for each, value in rows]


VIEWS: Mapping[str, View] = {
    "convergence": View(
        _convergence,
        [
            Listing(
                "values", ["round", "value"], _newest_first, "course, the newest round first", _course, also=["rounds"]
            ),
        ],
        ["state", "newest", "best", "best_round"],
    ),
    "hyperparameters": View(
        _hyperparameters,
        [
            Listing(
                "effects",
                ["name", "explained", "correlation", "correlation_at_fixed_round"],
                lambda row: -row["explained"],
                "effects, the greatest first",
            ),
            Listing(
                "effects",
                ["hyperparameter", "value", "progress", "standard_error", "rounds"],
                lambda row: -row["progress"],
                "values, the greatest progress first",
                _values,
            ),
            Listing(
                "progress",
                ["round", "progress"],
                _newest_first,
                "progress, the newest round first",
                _progress,
                also=["rounds"],
            ),
        ],
    ),
}
