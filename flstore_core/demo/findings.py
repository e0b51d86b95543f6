"""An answer in one line."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flstore_core.client import Answer

Result = Mapping[str, Any]

_WIDTH = 60


def finding(answer: Answer) -> str:
    """Return what an answer found, in one line; of an unknown workload's its first plain members."""
    result = answer.result.raw
    told = _FINDINGS.get(answer.workload, _anything)
    return told(result)


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


_FINDINGS: Mapping[str, Callable[[Result], str]] = {
    "aggregate": _aggregate,
    "clustering": _clustering,
    "cosine-similarity": _cosine,
    "malicious-filter": _malicious,
    "metrics": _metrics,
    "reputation": _reputation,
}


def _anything(result: Result) -> str:
    plain = [f"{name} {_short(value)}" for name, value in result.items() if isinstance(value, int | float | str)]
    sizes = [f"{len(value)} {name}" for name, value in result.items() if isinstance(value, list | dict)]
    line = ", ".join(plain + sizes)
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def _short(value: float | str) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _name(client: str) -> str:
    return client.removeprefix("client-")
