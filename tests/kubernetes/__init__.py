"""The controller on Kubernetes, against an API server at the wire."""
