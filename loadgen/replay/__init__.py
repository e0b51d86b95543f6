"""Checks the simulator against a running FLStore: the same requests, and the hit rates of both.

Here: an `excerpt` of a trace with small models, the `player` that sends it, and the `hit_rates` of both sides. The
load of a performance measurement, which is sent at its own pace and with models of full size, belongs to `loadgen.run`.
"""
