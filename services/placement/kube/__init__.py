"""Access to a Kubernetes API server, and the patterns that every controller needs on top of it.

What belongs here: HTTP calls, watches and informers, leader election, work queues, events, and the release's settings.
Nothing here knows what a shard or a job is. Backends as Knative services belong to
`services.placement.runtime.knative`, and `FLJob` objects to `services.placement.fljobs`. Both stand on this package.

Only `api` and what imports it need the Kubernetes client, which a laptop does not have, so import them lazily.
"""
