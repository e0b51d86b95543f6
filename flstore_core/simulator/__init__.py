"""Replays a trace of FL events through policies, without a shard: the same policy objects and the same ledger.

Reading and checking traces belongs here; making them belongs to `loadgen`.
"""

from flstore_core.simulator.events import Trace
from flstore_core.simulator.report import Result, simulate, simulated_policies, to_json
from flstore_core.simulator.trace import TraceError, read_trace

__all__ = ["Result", "Trace", "TraceError", "read_trace", "simulate", "simulated_policies", "to_json"]
