"""What a round's pictures show, from the answers of workloads. Pure.

A screen has room for about a hundred names. Of more clients those are drawn that are accused, and others spread evenly
over the rest by name, so that a picture of a thousand clients still shows who stands out, among whom.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flstore_core.presentation.words import counted, listed
from flstore_core.statistics.ordering import by_cluster
from flstore_core.statistics.scaling import scale
from services.console.parts import charts, colours
from services.console.parts.charts import Options

MOST_DRAWN = 100
"""Clients in a picture."""
ACCUSED = "accused"
LATE_FENCE = 1.5
"""A client is late that came more than so many interquartile ranges after the third quartile (Tukey 1977)."""
LEAST_FOR_LATE = 4


def choose(clients: Sequence[str], accused: Sequence[str], most: int = MOST_DRAWN) -> list[str]:
    """Return the clients to draw, in their order: all, if there are few, or else the accused and a sample."""
    if len(clients) <= most:
        return list(clients)
    kept = set(accused[:most])
    others = [client for client in clients if client not in kept]
    places = np.linspace(0, len(others) - 1, most - len(kept)).astype(int)
    kept.update(others[place] for place in places)
    return [client for client in clients if client in kept]


def similarity_map(names: Sequence[str], matrix: Sequence[Sequence[float]], labels: Sequence[int]) -> Options:
    """Return the similarities as a heat map, clusters side by side."""
    similarity = np.asarray(matrix)
    order = by_cluster(similarity, labels)
    shown = [names[row] for row in order]
    cells = [
        (x, y, round(float(similarity[row, column]), 4))
        for y, row in enumerate(order)
        for x, column in enumerate(order)
    ]
    return charts.heat(shown, shown, cells, low=-1.0, high=1.0, name="cosine similarity", scale=colours.AROUND)


def plane(
    names: Sequence[str], answer: Mapping[str, Any], labels: Sequence[int], accused: Sequence[str]
) -> tuple[Options, float]:
    """Return the clients as points of a plane, by the inner products of their deltas, and the stress.

    Args:
        answer: of `cosine-similarity`; similarities and norms make the Gram matrix.
        accused: they have a group of their own, whatever their cluster.
    """
    norms = np.asarray(answer["norms"])
    made = scale(np.asarray(answer["matrix"]) * norms[:, None] * norms)
    groups: dict[str, list[tuple[float, float, str]]] = {}
    for name, client, label, point in zip(names, answer["clients"], labels, made.points, strict=True):
        group = ACCUSED if client in accused else f"cluster {label + 1}" if label >= 0 else "no cluster"
        groups.setdefault(group, []).append((round(float(point[0]), 6), round(float(point[1]), 6), name))
    ordered = dict(sorted(groups.items(), key=lambda item: (item[0] == ACCUSED, item[0])))
    options = charts.scatter(ordered)
    # A distance is as long along one axis as along the other, or clusters would look what they are not.
    reach = float(f"{1.1 * np.abs(made.points).max(initial=1e-9):.2g}")
    for axis in ("xAxis", "yAxis"):
        options[axis] |= {"min": -reach, "max": reach}
    _mark_accused(options)
    return options, made.stress


def _mark_accused(options: Options) -> None:
    """Give the accused a colour and a shape that no cluster has, and their names."""
    clusters = [colour for colour in colours.CATEGORIES if colour != colours.BAD]
    for place, series in enumerate(options["series"]):
        series["color"] = clusters[place % len(clusters)]
        if series["name"] == ACCUSED:
            label = {"show": True, "formatter": "{b}", "position": "left"}
            series |= {"color": colours.BAD, "symbol": "diamond", "symbolSize": 18, "label": label}


def norms_map(names: Sequence[str], tensors: Sequence[str], norms: Sequence[Sequence[float]]) -> Options:
    """Return how long each delta is in each tensor, in doublings of the median client's: 1 is twice as long."""
    lengths = np.asarray(norms, float).reshape(len(names), len(tensors))
    usual = np.median(lengths, axis=0) if len(names) else np.ones(len(tensors))
    with np.errstate(divide="ignore", invalid="ignore"):
        doublings = np.clip(np.nan_to_num(np.log2(lengths / usual), nan=0.0, posinf=3.0, neginf=-3.0), -3.0, 3.0)
    cells = [(x, y, round(float(doublings[y, x]), 3)) for y in range(len(names)) for x in range(len(tensors))]
    return charts.heat(tensors, names, cells, low=-3.0, high=3.0, name="doublings of the median", scale=colours.AROUND)


def contributions(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Options:
    """Return contributions as bars, with a line from one standard error below to one above, where there is one."""
    options = charts.bars(names, {"contribution": [row["value"] for row in rows]}, y_name="contribution")
    if any(row["standard_error"] for row in rows):
        # A candlestick whose body is flat is a line from its lowest to its highest value.
        whiskers = [
            [row["value"], row["value"], row["value"] - row["standard_error"], row["value"] + row["standard_error"]]
            for row in rows
        ]
        style = {"borderColor": colours.BAD, "borderColor0": colours.BAD, "color": colours.BAD, "borderWidth": 2}
        series = {
            "type": "candlestick",
            "name": "± standard error",
            "data": whiskers,
            "itemStyle": style,
            "barWidth": 8,
        }
        options["series"].append(series)
        options["legend"] = {"show": True, "top": 0}
    return options


def late(arrivals: Mapping[str, float]) -> list[str]:
    """Return who came late, the last one first; nobody, if fewer than four came at all.

    Args:
        arrivals: seconds by client, on any clock.
    """
    if len(arrivals) < LEAST_FOR_LATE:
        return []
    low, high = np.quantile(list(arrivals.values()), [0.25, 0.75])
    limit = high + LATE_FENCE * (high - low)
    return sorted((name for name, at in arrivals.items() if at > limit), key=lambda name: -arrivals[name])


def say_verdicts(round_: int, verdicts: Sequence[Mapping[str, Any]]) -> str:
    """Return who is accused, in a sentence."""
    accused = [str(verdict["client"]) for verdict in verdicts if verdict["malicious"]]
    everyone = counted(len(verdicts), "client")
    if not accused:
        return f"None of {everyone} of round {round_} looks malicious."
    look = "looks" if len(accused) == 1 else "look"
    return f"{len(accused)} of {everyone} of round {round_} {look} malicious: {listed(accused)}."
