"""Hit rates of caching policies in a running shard, beside the simulator's for the same events."""

import json
from collections.abc import Sequence
from fractions import Fraction

from flstore_core.client import FLStore
from flstore_core.simulator import read_trace
from loadgen.experiments.base import Cell, Measured, Outcome, Report
from loadgen.experiments.tables import table
from loadgen.pictures.base import Axis, Picture
from loadgen.replay.command import one_shard
from loadgen.replay.excerpt import cut
from loadgen.replay.hit_rates import compare
from loadgen.traces.generator import generate

SHRINK = Fraction(1, 1000)
BUDGET_ROUNDS = 2.0
SPEED = 600.0


class Policies:
    """One shard under one policy."""

    name = "policies"
    title = "Hit rate by policy, live"

    def measure(self, cell: Cell) -> Measured:
        trace = read_trace(json.dumps(event) for event in generate(cell.trace))
        piece = cut(trace, 3600.0 * cell.trace.hours, SHRINK)
        policy = cell.values["policy"]
        with one_shard(None, piece.budget(BUDGET_ROUNDS), policy) as url, FLStore(url) as client:
            rows = compare(client, piece, BUDGET_ROUNDS, policy, SPEED)
        return {row.name: {"requests": row.requests, "live": row.live, "simulated": row.simulated} for row in rows}

    def report(self, outcomes: Sequence[Outcome]) -> Report:
        patterns = list(outcomes[0].measured)
        rows = []
        for each in outcomes:
            live = [f"{100 * each.measured[name]['live']:.1f}" for name in patterns]
            rows.append([f"`{each.values['policy']}`", *live, f"{100 * each.measured['all']['simulated']:.1f}"])
        text = table(["policy, hit rate in per cent", *patterns, "all, simulated"], rows)
        curves = {
            name: [(each.measured[name]["live"], float(row)) for row, each in enumerate(outcomes)] for name in patterns
        }
        upwards = Axis("policy", names=tuple(each.values["policy"] for each in outcomes))
        picture = Picture(self.title, curves, Axis.share("requests that hit"), upwards, joined=False)
        return Report(text + "\n![Hit rates](policies.svg)\n", {"policies": picture})
