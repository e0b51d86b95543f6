"""`python -m services.shard`: one shard, configured by its environment."""

import gc

gc.disable()  # nothing that is imported is garbage; looking for it is a sixth of the start. `run` enables it

import os
import time

from flstore_core import buffers
from flstore_core.storage.url import open_later
from services.common import logs, memory, tracing
from services.common.proof import Keys
from services.common.serve import Listen, run, start
from services.shard.app import create_app
from services.shard.settings import Settings
from services.shard.state import create_state


def main() -> None:
    settings, keys = Settings.from_env(os.environ), Keys.from_env(os.environ)
    logs.begin(settings.shard, os.environ)
    tracing.begin("shard", os.environ, settings.shard)
    memory.check_cache(settings.cache_bytes, memory.memory_limit())
    buffers.keep(settings.cache_bytes // buffers.IDLE_SHARE)
    store = tracing.watched(open_later(settings.store, os.environ))
    state = create_state(settings, store, time.monotonic)
    run(create_app(state, keys), Listen.from_env(os.environ), side_door=True, should_leave=state.should_leave)


if __name__ == "__main__":
    start(main)
