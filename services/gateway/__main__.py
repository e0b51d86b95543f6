"""`python -m services.gateway`: one gateway, configured by its environment."""

import os

from flstore_core import buffers
from flstore_core.storage import open_store
from services.common import logs
from services.common.serve import Listen, run
from services.gateway.app import create_app
from services.gateway.settings import Settings
from services.gateway.state import create_state


def main() -> None:
    settings = Settings.from_env(os.environ)
    logs.configure("gateway", os.environ.get("FLSTORE_LOG_LEVEL", "INFO"))
    buffers.keep(settings.in_flight_bytes // buffers.IDLE_SHARE)
    run(create_app(create_state(settings, open_store(settings.store, os.environ))), Listen.from_env(os.environ))


if __name__ == "__main__":
    main()
