"""`python -m services.placement`: the controller over local processes or Knative, configured by its environment."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping

from flstore_core.storage import ObjectStore, open_store
from flstore_core.storage.conditions import checked
from services.common import logs
from services.common.proof import Keys
from services.common.serve import Listen, run, start
from services.placement.app import create_app, release_waiting
from services.placement.runtime.local.process import Program
from services.placement.runtime.local.runtime import LocalRuntime
from services.placement.settings import Settings
from services.placement.state import State, create_cluster_state, create_state

logger = logging.getLogger(__name__)

MARGIN_S = 1.0
"""Seconds that the process of a backend has to end after its grace, before it is killed."""


def main() -> None:
    settings, keys = Settings.from_env(os.environ), Keys.from_env(os.environ)
    logs.begin("placement", os.environ)
    store = checked(open_store(settings.store, os.environ), logger.warning)
    prepare = prepare_cluster if settings.runtime == "knative" else prepare_local
    app = create_app(prepare(settings, keys, store, os.environ), keys)
    run(app, Listen.from_env(os.environ), on_leave=lambda: release_waiting(app))


def prepare_local(settings: Settings, keys: Keys, store: ObjectStore, env: Mapping[str, str]) -> Callable[[], State]:
    """Return what makes the state of a controller over processes of this machine."""
    grace_s = Listen.from_env(env).grace_s + MARGIN_S
    program = Program({**env, "FLSTORE_STORE": settings.store}, grace_s=grace_s)
    return lambda: create_state(settings, store, lambda watcher: LocalRuntime(watcher, program), keys=keys)


def prepare_cluster(settings: Settings, keys: Keys, store: ObjectStore, env: Mapping[str, str]) -> Callable[[], State]:
    """Return what makes the state of a controller on Kubernetes.

    Raises:
        InvalidParameters: if the settings contradict each other, or there is no cluster.
    """
    # Imported here, because the client takes seconds to load, and a laptop does not have it.
    from services.placement.kube.cluster import Cluster
    from services.placement.kube.connect import connect
    from services.placement.kube.settings import KubernetesSettings

    kubernetes = KubernetesSettings.from_env(env)
    kubernetes.check_cache(settings.cache_bytes, settings.predictor_cache_bytes if settings.predictors else 0)
    api = asyncio.run(connect(env, kubernetes.namespace))
    return lambda: create_cluster_state(settings, store, Cluster(api, kubernetes), keys=keys)


if __name__ == "__main__":
    start(main)
