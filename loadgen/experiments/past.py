"""A long past without having lived it: a stored round again and again, under other numbers."""

import shutil
from dataclasses import replace
from pathlib import Path

from flstore_core import layout
from flstore_core.ids import JobId
from flstore_core.records import Round, to_bytes
from flstore_core.storage import open_store
from flstore_core.storage.documents import load_json


def lengthened(store: Path, job: str, rounds: int) -> None:
    """Copy round 0 of `job` to rounds 1 to `rounds` - 1, in a store that nobody is using."""
    name = JobId(job)
    opened = open_store(str(store), {})
    first = Round.from_json(load_json(opened, layout.round_record(name, 0)))
    folder = store / layout.rounds_prefix(name)
    origin = next(each for each in folder.iterdir() if each.is_dir())
    for number in range(1, rounds):
        shutil.copytree(origin, folder / f"{number:08d}", copy_function=_link)
        path = store / layout.round_record(name, number)
        path.unlink()
        path.write_bytes(to_bytes(replace(first, number=number, base=number - 1).to_json()))
    opened.close()


def _link(source: str, target: str) -> None:
    """Let the copy be the same file: what is stored is never written to."""
    Path(target).hardlink_to(source)
