"""`python -m services.console`: one console, configured by its environment."""

import os

from services.common import logs
from services.common.serve import Listen, run, start
from services.console.app import create_app
from services.console.settings import Settings
from services.console.state import create_state


def main() -> None:
    settings = Settings.from_env(os.environ)
    logs.begin("console", os.environ)
    run(create_app(create_state(settings)), Listen.from_env(os.environ), web_sockets=True)


if __name__ == "__main__":
    start(main)
