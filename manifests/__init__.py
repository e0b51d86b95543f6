"""Generated manifests and their generators: dashboards, alerts, rendered samples, the chart's README.

Hand-written manifests lie beside: the kind cluster, Knative's installation, examples. Nothing here runs in a service.
`python -m manifests` writes everything that is generated; tests compare without writing.
"""
