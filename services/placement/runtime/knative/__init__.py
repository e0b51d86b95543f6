"""Backends as Knative services: one service each, at most one pod, and no pod while nobody asks.

What belongs here: the service's manifest, what a backend's objects say about its state, the history of its starts, and
the repair of services that somebody has changed. `services.placement.kube` reaches and watches the API server.
"""
