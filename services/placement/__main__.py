"""`python -m services.placement`: the controller over local processes or Knative, configured by its environment."""

import asyncio
import os
from collections.abc import Callable

from flstore_core.storage import ObjectStore, open_store
from services.common import logs
from services.common.serve import Listen, run
from services.placement.app import create_app, release_waiting
from services.placement.runtime import Runtime, Watcher
from services.placement.runtime.local.runtime import LocalRuntime
from services.placement.settings import Settings
from services.placement.state import State, create_state


def main() -> None:
    settings = Settings.from_env(os.environ)
    logs.configure("placement", os.environ.get("FLSTORE_LOG_LEVEL", "INFO"))
    store = open_store(settings.store, os.environ)
    parts = _over_knative if settings.runtime == "knative" else _over_processes
    app = create_app(parts(settings, store))
    run(app, Listen.from_env(os.environ), on_leave=lambda: release_waiting(app))


def _over_processes(settings: Settings, store: ObjectStore) -> Callable[[], State]:
    env = {**os.environ, "FLSTORE_STORE": settings.store}

    def runtime(watcher: Watcher) -> Runtime:
        return LocalRuntime(watcher, env)

    return lambda: create_state(settings, store, runtime)


def _over_knative(settings: Settings, store: ObjectStore) -> Callable[[], State]:
    # Imported here: the client takes seconds to load, and a laptop does not have it.
    from services.placement.cluster import create_cluster_state, prepare

    kubernetes, api = asyncio.run(prepare(settings, os.environ))
    return lambda: create_cluster_state(settings, kubernetes, store, api)


if __name__ == "__main__":
    main()
