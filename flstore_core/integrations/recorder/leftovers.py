"""Rounds that a training could not have recorded before it ended: left in its spool, taken up by a later training.

Only whole rounds are left, which the training had closed: what a client sent into a round that was open belongs to no
aggregate, and a round that lacks an update would say something else than what was trained. A later training takes them
up before it begins its own first round, in their order, each as if its training still ran:

    spool/left-0179…-9f3c/opened.json    job "mnist", its round 4 is the training's round 0
                          3.json         what the training's round 3 was closed with; it comes after round 6 of the job
                          3-0.safetensors, 3-1.safetensors

A round is taken up if the newest round of the job is the one that it comes after. If it is another, somebody else has
recorded since, and the round stays where it is, as does one with a file that is damaged. A training of which the store
never heard has `begin.json` in place of `opened.json`. One process at a time takes a folder up.
"""

import json
import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flstore_core.client import FLStore
from flstore_core.client.bodies import FileBody
from flstore_core.client.plain import to_json
from flstore_core.errors import FLStoreError
from flstore_core.integrations.recorder.clerk import FATAL
from flstore_core.integrations.recorder.desk import RUN, Desk, Opened, is_away
from flstore_core.integrations.recorder.journal import Beginning, Closing, Made, Page, Update
from flstore_core.integrations.recorder.shelf import Held, write_model
from flstore_core.schema import Schema

logger = logging.getLogger("flstore.recorder")

PREFIX = "left-"
BEGIN, OPENED = "begin.json", "opened.json"


class Stays(Exception):
    """Why a folder, or the rest of it, is not taken up."""


@dataclass(frozen=True)
class Training:
    """A training, as far as another one has to know it that records for it."""

    job: str
    run: str
    resume: bool
    settings: Mapping[str, Any]
    opened: Opened | None = None
    """None if the store never heard of it."""
    newest: int = 0
    """The training's newest round that is recorded."""


def leave(spool: Path, training: Training, pages: Sequence[Page], most_bytes: int) -> tuple[Path, int]:
    """Write rounds into a new folder of the spool, up to the first that has no room or cannot be written whole.

    Args:
        pages: the rounds that are closed and not recorded, ascending; page 0 first if the job is not open.
        most_bytes: that folders with rounds may take in all.

    Returns:
        The folder, and how many of the pages are in it.
    """
    room = most_bytes - sum(file.stat().st_size for file in spool.glob(f"{PREFIX}*/*.safetensors"))
    folder = spool / f"{PREFIX}{time.time_ns():020d}-{training.run}"
    written, after = 0, training.newest
    try:
        folder.mkdir(parents=True, mode=0o700)
        if training.opened:
            _write_opened(folder, training.job, training.run, training.opened)
        for page in pages:
            room -= sum(held.nbytes for held in _models(page))
            if room < 0:
                break
            _leave_page(folder, training, page, after)
            written, after = written + 1, page.number
    except (FLStoreError, OSError) as error:
        logger.warning("round %d cannot be left in %s: %s", pages[written].number, folder, error)
    if not written:
        shutil.rmtree(folder, ignore_errors=True)
    return folder, written


def take_up(spool: Path, job: str, store: FLStore) -> int:
    """Record the rounds that earlier trainings of a job left, and return how many; what stays is told in the log.

    Raises:
        FLStoreError: if the store is away; what it took is not taken up again.
    """
    count = 0
    for folder in sorted(spool.glob(f"{PREFIX}*")):
        try:
            with _alone_in(folder):
                for _ in _take_up(folder, job, store):
                    count += 1
                if not [file for file in folder.glob("*.json") if file.name != OPENED]:
                    shutil.rmtree(folder, ignore_errors=True)
        except FLStoreError as error:
            if is_away(error):
                raise
            logger.warning("what an earlier training left stays in %s: %s", folder, error)
        except (Stays, OSError, ValueError, KeyError, TypeError) as error:  # files may hold anything
            logger.warning("what an earlier training left stays in %s: %s", folder, error)
    return count


def _write_opened(folder: Path, asked: str, run: str, opened: Opened) -> None:
    """Note where in the store a training goes on; its job may have got a number behind the name that was asked for."""
    facts = {"asked": asked, "job": opened.job, "offset": opened.offset, "created_at": opened.created_at, "run": run}
    _write_json(folder / OPENED, facts)


def _models(page: Page) -> list[Held]:
    updates = [update.model for update in (*page.working, *page.waiting)]
    return [*updates, page.ending.model] if page.ending and page.ending.model else updates


def _leave_page(folder: Path, training: Training, page: Page, after: int) -> None:
    """Write a round, last the file that says what it is made of."""
    match page.ending:
        case Beginning(schema=schema, model=model):
            facts = {
                "job": training.job,
                "run": training.run,
                "resume": training.resume,
                "settings": dict(training.settings),
                "schema": schema.to_json(),
                "model": _leave_model(folder / "0.safetensors", model) if model else None,
            }
            _write_json(folder / BEGIN, facts)
        case Closing(metrics=metrics, hyperparameters=hyperparameters):
            facts = {
                "round": page.number,
                "after": after,
                "updates": [
                    {
                        "client": update.client,
                        "metrics": dict(update.metrics),
                        "weight": update.weight,
                        **_leave_model(folder / f"{page.number}-{index}.safetensors", update.model),
                    }
                    for index, update in enumerate((*page.working, *page.waiting))
                ],
                "stored": dict(page.stored),
                "expected": sorted(page.expected),
                "made": {"sha256": page.made.sha256, "params": dict(page.made.params)} if page.made else None,
                "metrics": dict(metrics),
                "hyperparameters": dict(hyperparameters),
            }
            _write_json(folder / f"{page.number}.json", facts)


def _leave_model(path: Path, held: Held) -> dict[str, Any]:
    if isinstance(held.model, Path):
        shutil.copyfile(held.model, path)
    else:
        write_model(path, held.model)
    return {"file": path.name, "nbytes": held.nbytes, "sha256": held.sha256}


def _take_up(folder: Path, job: str, store: FLStore) -> Iterator[int]:
    """Record the rounds of a folder, and yield the number of each; a folder of another job has none."""
    if (folder / BEGIN).exists():
        _begin(folder, job, store)
    if not (folder / OPENED).exists():
        return
    facts = _read_json(folder / OPENED)
    if job not in (facts["asked"], facts["job"]):
        return
    desk = Desk(store, facts["job"], facts["run"], resume=True, settings={})
    desk.go_on(Opened(facts["job"], facts["offset"], facts["created_at"]))
    for number in sorted(int(file.stem) for file in folder.glob("*.json") if file.stem.isdecimal()):
        page = _read_json(folder / f"{number}.json")
        if not _is_recorded(desk, facts, page):
            _record(folder, desk, page)
        (folder / f"{number}.json").unlink()
        for update in page["updates"]:
            _file(folder, update).unlink(missing_ok=True)
        yield number


def _begin(folder: Path, job: str, store: FLStore) -> None:
    """Open the job of a training of which the store never heard."""
    facts = _read_json(folder / BEGIN)
    if facts["job"] != job:
        return
    model = _verified(folder, facts["model"]) if facts["model"] else None
    desk = Desk(store, job, facts["run"], resume=facts["resume"], settings=facts["settings"])
    desk.begin(Beginning(Schema.from_json(facts["schema"]), model))
    assert desk.opened
    _write_opened(folder, job, facts["run"], desk.opened)
    (folder / BEGIN).unlink()


def _is_recorded(desk: Desk, opened: Mapping[str, Any], page: Mapping[str, Any]) -> bool:
    """Return whether a round is recorded already.

    Raises:
        Stays: if it cannot be any more.
    """
    info, number = desk.store.job(desk.job), desk.round_of(page["round"])
    if info.created_at != opened["created_at"]:
        raise Stays(f"job {desk.job!r} was deleted and made anew")
    newest = info.latest or 0
    if newest >= number and desk.store.round(desk.job, number).hyperparameters.get(RUN) == opened["run"]:
        return True
    if newest != desk.round_of(page["after"]):
        raise Stays(f"round {number} of job {desk.job!r} cannot follow round {newest}, which another training recorded")
    return False


def _record(folder: Path, desk: Desk, page: Mapping[str, Any]) -> None:
    """Record a round whose files are whole."""
    number, stored = page["round"], dict(page["stored"])
    models = [_verified(folder, update) for update in page["updates"]]
    for update, held in zip(page["updates"], models, strict=True):
        client = update["client"]
        try:
            stored[client] = desk.put(Update(number, client, held, update["metrics"], update["weight"])).sha256
        except FLStoreError as error:
            if is_away(error) or isinstance(error, FATAL):
                raise
            logger.warning("the update of %r in round %d, left in %s, is not taken: %s", client, number, folder, error)
    made = Made(**page["made"]) if page.get("made") else None
    desk.close(Closing(number, page["metrics"], page["hyperparameters"]), stored, page["expected"], made)


def _verified(folder: Path, facts: Mapping[str, Any]) -> Held:
    path = _file(folder, facts)
    if not path.is_file() or FileBody.of(path).sha256 != facts["sha256"]:
        raise Stays(f"{path.name} is damaged")
    return Held(path, facts["nbytes"])


def _file(folder: Path, facts: Mapping[str, Any]) -> Path:
    """Return a file of the folder; a name that leads out of it is damage."""
    name = str(facts["file"])
    if Path(name).name != name:
        raise Stays(f"{name!r} is not the name of a file in it")
    return folder / name


def _write_json(path: Path, facts: Mapping[str, Any]) -> None:
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(to_json(facts, path.name), encoding="utf-8")
    unfinished.replace(path)


def _read_json(path: Path) -> dict[str, Any]:
    facts = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(facts, dict):
        raise Stays(f"{path.name} is damaged")
    return facts


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes from a folder; the operating system lets go of it for a process that is killed."""
    import fcntl  # not on every operating system that a training runs on

    with (folder / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Stays("another process takes it up now") from error
        yield
