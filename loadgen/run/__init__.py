"""The open-loop runner: replays a trace against any URL that speaks FLStore's API, and says how that went.

Latency counts from the moment at which a request was due, so that a slow system cannot hide its queue.
"""
