"""`python -m services.predictor`: one predictor, configured by its environment.

Where the environment names the folder of a model, that model alone is served (`services.predictor.standalone`).
"""

import gc

gc.disable()  # nothing that is imported is garbage; looking for it is a sixth of the start. `run` enables it

import os
import time

from flstore_core import buffers
from flstore_core.storage.url import open_later
from services.common import logs, memory, tracing
from services.common.proof import Keys
from services.common.serve import Listen, run, start
from services.predictor import standalone
from services.predictor.app import create_app
from services.predictor.confined.limits import allow_descriptors
from services.predictor.settings import Settings
from services.predictor.state import create_state


def main() -> None:
    settings = Settings.from_env(os.environ)
    logs.begin(settings.predictor, os.environ, settings.warnings())
    tracing.begin("predictor", os.environ, settings.predictor)
    allow_descriptors()
    if settings.model_folder:
        serve_folder(settings)
    else:
        serve_store(settings, Keys.from_env(os.environ))


def serve_store(settings: Settings, keys: Keys) -> None:
    """Serve the models of a store to those who have one of `keys`."""
    memory.check_cache(settings.cache_bytes, memory.memory_limit())
    settings.apply()
    buffers.keep(settings.cache_bytes // buffers.IDLE_SHARE)
    buffers.keep_freed()
    store = tracing.watched(open_later(settings.store, os.environ))
    state = create_state(settings, store, time.monotonic)
    run(create_app(state, keys), Listen.from_env(os.environ), side_door=True, should_leave=state.should_leave)


def serve_folder(settings: Settings) -> None:
    """Serve one model to everybody."""
    state = standalone.create_state(settings, memory.memory_limit(), time.monotonic)
    state.settings.apply()
    state.versions.load()
    run(standalone.create_app(state), Listen.from_env(os.environ))


if __name__ == "__main__":
    start(main)
