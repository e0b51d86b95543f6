"""Access to a Kubernetes API server, and the patterns that every controller needs on top of it.

Here belong the HTTP calls, watches and informers, leader election, work queues, events, and the release's settings.
Nothing here knows what a shard or a job is: backends as Knative services are `services.placement.runtime.knative`,
`FLJob` objects are `services.placement.fljobs`, and both stand on this package.

Only `api` and what imports it need the Kubernetes client, which a laptop does not have, so import them lazily.
"""
