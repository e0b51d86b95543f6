"""What is generated from the chart and the metrics, and the generators: dashboards, alerts, samples, the chart's README.

Hand-written manifests lie beside: the kind cluster, Knative's installation, examples. Nothing here runs in a service.
`python -m manifests` writes everything that is generated; tests compare without writing.
"""
