"""Where backends run: the `Runtime` contract, and its two implementations `local` and `knative`.

A backend is a shard or a predictor. A runtime creates, removes and observes backends, lets them scale to zero, and
reports when one starts and why. It does not decide how many there are or what they hold: that is the controller's.
"""

from services.placement.runtime.base import BackendSpec, BackendState, Cause, Kind, Phase, Runtime, Start, Watcher

__all__ = ["BackendSpec", "BackendState", "Cause", "Kind", "Phase", "Runtime", "Start", "Watcher"]
