"""Histories of rounds that are legal and odd: what clients may send, though hardly any does, for property tests."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Round
from flstore_core.workloads import RoundData
from tests.workloads.rounds import make_round, member, schema_of
from tests.workloads.stored import Stored

PARAMETERS = 6
CLIENTS = ["a", "b", "c", "d", "e", "f"]
METRICS = ["loss", "accuracy", "duration_s", "device"]

numbers = st.one_of(
    st.integers(-3, 3),
    st.floats(0, 10),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0, -1, 1e308, -1e308, 5e-324, 10**19, 10**400, -(10**400), True]),
)
"""Numbers that JSON can say: any finite float, whole numbers of any size."""
values = st.one_of(numbers, numbers, st.none(), st.text(max_size=3), st.just([1, 2]), st.just({"x": 1}))
"""JSON values, mostly numbers."""
weights = st.sampled_from([0.0, 0.0, 1.0, -1.0, 0.5, 3.0, 1e-30, 1e-8, -1e-8, 1e8, 1e15, -1e15])


@st.composite
def metrics(draw: st.DrawFn) -> dict[str, Any]:
    """Return what one client reports: some metrics, of any JSON value."""
    reported: dict[str, Any] = draw(st.dictionaries(st.sampled_from(METRICS), values, max_size=4))
    if draw(st.booleans()):
        name = draw(st.sampled_from(["num_examples", "num-examples"]))
        reported[name] = draw(st.one_of(st.integers(0, 9), st.sampled_from([1e-300, 0.5, 1e14]), values))
    return reported


@st.composite
def histories(draw: st.DrawFn, most: int = 5) -> Stored:
    """Return a job of up to `most` rounds, each with none to six clients, with or without an aggregate."""
    rounds: list[RoundData] = []
    models: dict[tuple[int, str], Any] = {}
    base: int | None = None
    for number in range(draw(st.integers(1, most))):
        clients = draw(st.lists(st.sampled_from(CLIENTS), unique=True, max_size=6).map(sorted))
        rows = {name: _row(draw) for name in clients}
        aggregate = _row(draw) if not clients or draw(st.booleans()) else None
        stored: dict[str, Any] = rows if aggregate is None else {**rows, AGGREGATE: aggregate}
        reported = {name: draw(metrics()) for name in clients}
        start = None if base is None else models[base, AGGREGATE]
        rounds.append(_round(draw, number, base, rows, aggregate, reported, start))
        models |= {(number, name): row for name, row in stored.items()}
        base = number if aggregate is not None else base
    return Stored(schema_of(PARAMETERS), rounds, models)


def _row(draw: st.DrawFn) -> Any:
    return np.array(draw(st.lists(weights, min_size=PARAMETERS, max_size=PARAMETERS)), np.float32)


def _round(
    draw: st.DrawFn,
    number: int,
    base: int | None,
    rows: Mapping[str, Any],
    aggregate: Any,
    reported: Mapping[str, dict[str, Any]],
    start: Any,
) -> RoundData:
    everyone = [*rows.values(), *([] if aggregate is None else [aggregate])]
    names = [*rows, *([] if aggregate is None else [AGGREGATE])]
    statistics = make_round(np.array(everyone), names, number=number, base=start).statistics
    record = Round(
        number,
        base,
        tuple(member(ClientId(name), reported[name]) for name in rows),
        None if aggregate is None else member(AGGREGATE),
        metrics=draw(st.dictionaries(st.sampled_from(METRICS), values, max_size=2)),
        hyperparameters=draw(st.dictionaries(st.sampled_from(["rate", "batch"]), values, max_size=2)),
        committed_at=1.0,
    )
    return RoundData(record, statistics)
