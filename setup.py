"""Compiles what decides about the cache, where FLSTORE_COMPILE is set; see docs/decisions/compiled-policies.md.

Every module of `flstore_core.policies` is compiled, so a new policy needs no entry here.
"""

import os
from glob import glob

from setuptools import setup

COMPILED = [
    *glob("flstore_core/policies/**/[!_]*.py", recursive=True),
    *(f"flstore_core/cache/{module}.py" for module in ("ledger", "shadow", "tally")),
    "flstore_core/simulator/replay.py",
]


def extensions() -> list[object]:
    """Return the extension modules to build; none by default, so that installing needs no C compiler."""
    if not os.environ.get("FLSTORE_COMPILE"):
        return []
    from mypyc.build import mypycify

    return list(mypycify(sorted(COMPILED)))


setup(ext_modules=extensions())
