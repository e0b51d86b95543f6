"""`python -m services.placement`: the controller over local processes, configured by its environment."""

import os

from flstore_core.storage import open_store
from services.common import logs
from services.common.serve import Listen, run
from services.placement.app import create_app, release_waiting
from services.placement.runtime import Runtime, Watcher
from services.placement.runtime.local import LocalRuntime
from services.placement.settings import Settings
from services.placement.state import create_state


def main() -> None:
    settings = Settings.from_env(os.environ)
    logs.configure("placement", os.environ.get("FLSTORE_LOG_LEVEL", "INFO"))
    store = open_store(settings.store, os.environ)
    env = {**os.environ, "FLSTORE_STORE": settings.store}

    def runtime(watcher: Watcher) -> Runtime:
        return LocalRuntime(watcher, env)

    app = create_app(lambda: create_state(settings, store, runtime))
    run(app, Listen.from_env(os.environ), on_leave=lambda: release_waiting(app))


if __name__ == "__main__":
    main()
