"""Sums up a workload's answer in one line."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flstore_core.client import Answer

Result = Mapping[str, Any]

_WIDTH = 60


def finding(answer: Answer) -> str:
    """Return an answer in one line; for an unknown workload, its plain members and the sizes of the others."""
    result = answer.result.raw
    line_of = _FINDINGS.get(answer.workload, _anything)
    return line_of(result)


def _cosine(result: Result) -> str:
    matrix = np.array(result["matrix"])
    others = matrix[~np.eye(len(matrix), dtype=bool)]
    least = int(np.argmin(result["with_aggregate"]))
    return f"mean similarity {others.mean():.2f}; least like the aggregate: {_name(result['clients'][least])}"


def _malicious(result: Result) -> str:
    accused = ", ".join(map(_name, result["malicious"]))
    return f"round {result['round']}: {accused or 'nobody'} accused of {len(result['verdicts'])} clients"


def _aggregate(result: Result) -> str:
    return f"{result['method']} of {len(result['clients'])} updates, {result['moved']:.2f} from the base"


def _clustering(result: Result) -> str:
    sizes = sorted((len(cluster["clients"]) for cluster in result["clusters"]), reverse=True)
    return f"{len(sizes)} groups of {', '.join(map(str, sizes))}; silhouette {result['silhouette']:.2f}"


def _metrics(result: Result) -> str:
    first, last = result["groups"][0], result["groups"][-1]
    before, after = first["values"]["loss"]["mean"], last["values"]["loss"]["mean"]
    return f"clients' loss {before:.2f} in round {first['key']['round']}, {after:.2f} in round {last['key']['round']}"


def _reputation(result: Result) -> str:
    return f"{result['client']}: {result['reputation']:.2f} after {len(result['history'])} rounds, 0.5 is unknown"


def _inspect(result: Result) -> str:
    return f"{len(result['tensors'])} tensors, norm {result['norm']:.2f}, {result['sparsity']:.1%} zeros"


def _norms(result: Result) -> str:
    return ", ".join(f"{_name(each['client'])} {each['norm']:.2f}" for each in result["norms"])


def _personalize(result: Result) -> str:
    apart = ", ".join(f"{model['distance']:.2f}" for model in result["models"])
    return f"{len(result['models'])} models, {apart} from the global one"


def _provenance(result: Result) -> str:
    updates = sum(len(each["updates"]) for each in result["generations"])
    return f"{len(result['generations'])} aggregates of {updates} updates; made again alike: {_yes(result['verified'])}"


def _unlearn(result: Result) -> str:
    last = result["models"][-1]
    return f"{_name(result['client'])} left out of {len(result['rounds'])} rounds: {last['distance']:.2f} away"


def _contribution(result: Result) -> str:
    first, last = result["contributions"][0], result["contributions"][-1]
    return f"most by {first['client']} ({first['value']:.2f}), least by {last['client']} ({last['value']:.2f})"


def _drift(result: Result) -> str:
    changed = ", ".join(str(change["round"]) for change in result["changes"])
    told = f"changed in round {changed}" if changed else "no change"
    return (
        f"{result['client']}: {told}; alignment {result['alignment']:.2f}, length {result['relative_norm']:.1f} × usual"
    )


def _hyperparameters(result: Result) -> str:
    most = result["effects"][0] if result["effects"] else None
    told = f"{most['name']} explains {100 * most['explained']:.0f} % of progress" if most else "nothing recorded"
    return f"{told} over {len(result['rounds'])} rounds"


def _incentives(result: Result) -> str:
    first = result["payments"][0]
    return f"{result['budget']} paid out, {first['amount']} of it to {first['client']}"


def _schedule_clusters(result: Result) -> str:
    tier, tiers = result["tier"] + 1, len(result["tiers"])
    return f"{len(result['chosen'])} clients of speed tier {tier} of {tiers}, {len(result['clusters'])} groups"


def _schedule_performance(result: Result) -> str:
    explored = sum(choice["why"] == "explore" for choice in result["chosen"])
    return f"{len(result['chosen'])} clients, {explored} to explore; most useful: {result['candidates'][0]['client']}"


def _stragglers(result: Result) -> str:
    advice = result["advice"]
    saved, lost = 100 * advice["saved"], 100 * advice["lost"]
    return (
        f"{len(result['slow'])} slow; a deadline of {advice['deadline']:.2g} s saves {saved:.0f} %, loses {lost:.0f} %"
    )


_FINDINGS: Mapping[str, Callable[[Result], str]] = {
    "aggregate": _aggregate,
    "clustering": _clustering,
    "contribution": _contribution,
    "cosine-similarity": _cosine,
    "drift": _drift,
    "hyperparameters": _hyperparameters,
    "incentives": _incentives,
    "inspect": _inspect,
    "malicious-filter": _malicious,
    "metrics": _metrics,
    "norms": _norms,
    "personalize": _personalize,
    "provenance": _provenance,
    "reputation": _reputation,
    "schedule-clusters": _schedule_clusters,
    "schedule-performance": _schedule_performance,
    "stragglers": _stragglers,
    "unlearn": _unlearn,
}


def _anything(result: Result) -> str:
    plain = [f"{name} {_short(value)}" for name, value in result.items() if isinstance(value, int | float | str)]
    sizes = [f"{len(value)} {name}" for name, value in result.items() if isinstance(value, list | dict)]
    line = ", ".join(plain + sizes)
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def _short(value: float | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _yes(value: bool | None) -> str:
    return "not tried" if value is None else "yes" if value else "no"


def _name(client: str) -> str:
    return client.removeprefix("client-")
