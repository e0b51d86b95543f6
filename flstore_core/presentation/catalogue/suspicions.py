"""Who stands out: clients that are accused, faulty, slow, drifting or not to be trusted."""

from collections.abc import Mapping
from typing import Any

from flstore_core.presentation.base import Answer, Listing, Row, View
from flstore_core.presentation.words import counted, listed, percent, shown, spans


def _malicious(answer: Answer) -> str:
    accused = [row["client"] for row in _accused(answer)]
    everyone = counted(len(answer["verdicts"]), "client")
    if not accused:
        return f"Round {answer['round']}: none of {everyone} looks malicious"
    look = "looks" if len(accused) == 1 else "look"
    return f"Round {answer['round']}: {len(accused):,} of {everyone} {look} malicious: {listed(accused)}"


def _suspicion(verdict: Row) -> Any:
    """Return a key that puts the accused first, then who is trusted least, then who is opposed most."""
    trust = verdict.get("trust")
    return not verdict["malicious"], 1.0 if trust is None else trust, -verdict["opposition"]


def _accused(answer: Answer) -> list[Row]:
    """Return the accused with their reasons, the most suspect first."""
    accused = sorted((row for row in answer["verdicts"] if row["malicious"]), key=_suspicion)
    return [{"client": row["client"], "reasons": "; ".join(row["reasons"])} for row in accused]


def _figures(answer: Answer) -> list[Row]:
    return [{name: each for name, each in row.items() if name != "reasons"} for row in answer["verdicts"]]


def _faulty(answer: Answer) -> str:
    suspects, faulty = answer["suspects"], answer["faulty"]
    where = f"Round {answer['round']}: "
    if faulty:
        what = "is faulty" if len(faulty) == 1 else "are faulty"
        return f"{where}{len(faulty):,} of {counted(len(suspects), 'client')} {what}: {listed(faulty)}"
    most = max(suspects, key=lambda row: row["votes"])
    return f"{where}no client is faulty; most suspect is {most['client']}, with {percent(most['votes'])} of the votes"


def _slow(answer: Answer) -> str:
    slow, advice = answer["slow"], answer["advice"]
    everyone = counted(len(answer["clients"]), "client")
    deadline = (
        f"a deadline of {shown(advice['deadline'])} s would save {percent(advice['saved'])} of the waiting "
        f"and lose {percent(advice['lost'])} of the updates"
    )
    if not slow:
        return f"None of {everyone} is slow; {deadline}"
    return f"{len(slow):,} of {everyone} {'is' if len(slow) == 1 else 'are'} slow: {listed(slow)}; {deadline}"


def _drift(answer: Answer) -> str:
    client, changes = answer["client"], [row["round"] for row in answer["changes"]]
    now = f"alignment {shown(answer['alignment'])}, {shown(answer['relative_norm'])} times the others' length"
    if not answer["history"]:
        return f"{client} has no round in which others took part"
    if changes:
        return f"{client} changed in round{'s' * (len(changes) > 1)} {spans(changes)}; since then {now}"
    return f"{client} did not change over {counted(len(answer['history']), 'round')}: {now}"


def _reputation(answer: Answer) -> str:
    judged = counted(len(answer["history"]), "round")
    trust = f"{answer['client']} is trusted {percent(answer['reputation'])}, by {judged}"
    against = [row["round"] for row in answer["history"] if row["good"] < 0.5]
    but = f"; against it: round{'s' * (len(against) > 1)} {spans(against)}" if against else ""
    return f"{trust} (uncertainty {percent(answer['uncertainty'])}){but}"


def _newest_first(row: Row) -> int:
    return -int(row["round"])


VIEWS: Mapping[str, View] = {
    "malicious-filter": View(
        _malicious,
        [
            Listing("malicious", ["client", "reasons"], rows=_accused),
            Listing(
                "verdicts",
                ["client", "malicious", "alignment", "opposition", "norm", "trust", "resemblance", "krum_score"],
                _suspicion,
                "verdicts, the most suspect first",
                _figures,
            ),
        ],
    ),
    "debug": View(
        _faulty,
        [
            Listing(
                "suspects", ["client", "votes", "common"], lambda row: -row["votes"], "suspects, the most suspect first"
            ),
        ],
        ["faulty"],
    ),
    "stragglers": View(
        _slow,
        [
            Listing(
                "clients",
                ["client", "slow", "median", "worst", "late", "participations"],
                lambda row: (not row["slow"], -row["median"]),
                "durations in seconds, the slowest client first",
            ),
        ],
        ["slow", "advice"],
    ),
    "drift": View(
        _drift,
        [
            Listing("changes", ["round", "alignment_before", "alignment_after"], title="changes, the oldest first"),
            Listing(
                "history",
                ["round", "alignment", "relative_norm", "norm"],
                _newest_first,
                "history, the newest round first",
            ),
        ],
        ["client"],
    ),
    "reputation": View(
        _reputation,
        [
            Listing(
                "history",
                ["round", "good", "alignment", "weight"],
                _newest_first,
                "history, the newest round first",
            ),
        ],
        ["client"],
    ),
}
