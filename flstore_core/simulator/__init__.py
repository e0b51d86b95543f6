"""Replays a trace of FL events through policies without a shard: the same policies and the same ledger.

Reading and checking traces, replaying them, the offline reference and `flstore simulate` belong here. Making traces
belongs in `loadgen`; deciding and counting belong in `flstore_core.policies` and `flstore_core.cache`.
"""

from flstore_core.simulator.events import Trace
from flstore_core.simulator.report import Result, simulate, simulated_policies, to_json
from flstore_core.simulator.trace import TraceError, read_trace

__all__ = ["Result", "Trace", "TraceError", "read_trace", "simulate", "simulated_policies", "to_json"]
