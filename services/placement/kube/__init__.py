"""The placement controller's home on Kubernetes: the API, watches, leadership, events, and jobs as `FLJob` objects.

Here is what speaks to an API server and what follows from that. How a shard becomes a Knative service is in
`services.placement.runtime.knative.runtime`; what is placed where is decided by the controller, which knows no cluster.
Imported only when the runtime is Knative: a laptop needs no Kubernetes client.
"""
