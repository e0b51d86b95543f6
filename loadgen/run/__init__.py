"""The open-loop runner: replays a trace against any URL that speaks FLStore's API, and reports the latencies.

A request's latency counts from the moment at which it was due, so that a slow system cannot hide its queue.

Here: `events` and `scenario` (what is sent), `synthetic_models`, `questions` (what a trace's request means to a
target), `connections` and `target` (sending), `runner` and `session` (when), `tally` and `latencies` (counting),
`results`, `machine` (what they were made on), and what shows them: `page`, `terminal`, `exporter`.
"""
