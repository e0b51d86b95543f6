"""The machine that figures are made on."""

import os
import platform
from datetime import date


def machine(command: str) -> str:
    """Return when, by what and on which machine figures are made."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"Made on {date.today().isoformat()} by `{command}` on {os.cpu_count()} cores ({platform.machine()}), "
        f"{memory:.0f} GiB of memory, Linux {platform.release()}, Python {platform.python_version()}; clients, servers "
        "and store share them.\n"
    )
