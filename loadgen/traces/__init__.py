"""Synthetic traces: who trains when, and which requests the users of a training run make.

Here: `arrivals` (when users come), `samplers` (which clients train in a round), `training_run` (what exists at a
moment), `habits` (what one kind of user requests) and `mixes` of them, which `generator` puts together. A trace is a
pure function of its `TraceSettings`. Replaying one belongs to `loadgen.run` and `loadgen.replay`.
"""
