"""`python -m services.gateway`: one gateway, configured by its environment."""

import logging
import os

from flstore_core import buffers
from flstore_core.storage import open_store
from flstore_core.storage.conditions import checked
from services.common import logs, memory, tracing
from services.common.proof import Keys
from services.common.renewal import Renewal
from services.common.serve import Listen, run, start
from services.gateway.app import create_app
from services.gateway.settings import Settings
from services.gateway.state import create_state

logger = logging.getLogger(__name__)


def main() -> None:
    settings, keys = Settings.from_env(os.environ), Keys.from_env(os.environ)
    logs.begin("gateway", os.environ, settings.warnings(memory.memory_limit()))
    tracing.begin("gateway", os.environ)
    buffers.keep(settings.in_flight_bytes // buffers.IDLE_SHARE)
    store = checked(open_store(settings.store, os.environ), logger.warning)
    state = create_state(settings, tracing.watched(store), keys)
    renewal = Renewal(settings.connection_requests, settings.connection_seconds)
    run(create_app(state), Listen.from_env(os.environ), renewal=renewal)


if __name__ == "__main__":
    start(main)
