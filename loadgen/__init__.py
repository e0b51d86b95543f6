"""Load and evidence: traces, an open-loop runner, baselines, experiments, reports and the demonstration.

Here: what asks FLStore questions as a user would, over HTTP, and measures the answers. Systems are started as a whole
(`loadgen.systems`, `services.local`). Not here: anything that a deployment needs, and any part of a service.
"""
