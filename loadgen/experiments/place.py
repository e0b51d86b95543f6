"""An FLStore for one cell, over a directory that is gone afterwards."""

from contextlib import AbstractContextManager
from pathlib import Path

from loadgen.systems.systems import Deployment, System, started


def store_in(folder: str) -> Path:
    """Return where the objects lie."""
    return Path(folder) / "store" / System.FLSTORE


def flstore_in(folder: str, shards: int, cache_size: str, idle_seconds: float = 0.0) -> AbstractContextManager[str]:
    """Run an FLStore for a block, and give its URL; its logs go beside its objects."""
    deployment = Deployment(
        f"{folder}/store", shards=shards, cache_size=cache_size, idle_seconds=idle_seconds, log=Path(folder) / "log"
    )
    return started(System.FLSTORE, deployment)
