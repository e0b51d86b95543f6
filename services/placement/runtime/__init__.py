"""Where backends run: the `Runtime` contract, and its two implementations `local` and `knative`.

A backend is a shard or a predictor. A runtime creates, removes and observes backends, lets them scale to zero, and
reports when one starts and why. The controller decides how many there are and what they hold.
"""

from services.placement.runtime.base import BackendSpec, BackendState, Cause, Kind, Phase, Runtime, Start, Watcher

__all__ = ["BackendSpec", "BackendState", "Cause", "Kind", "Phase", "Runtime", "Start", "Watcher"]
