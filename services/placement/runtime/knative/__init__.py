"""Backends as Knative services: one service each, at most one pod, and no pod while nobody asks.

Here belong the service's manifest, what a backend's objects say about its state, the history of its starts, and the
repair of services that somebody changed. How an API server is reached and watched is `services.placement.kube`.
"""
