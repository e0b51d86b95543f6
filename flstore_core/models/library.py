"""Gets programs, models and data sets from the cache, and the missing ones from the store."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from flstore_core import codec, layout
from flstore_core.cache import Cache
from flstore_core.errors import NotFound, Unavailable, without_base
from flstore_core.files import FileName, Files, StoredFile
from flstore_core.ids import AGGREGATE
from flstore_core.model_names import ModelName
from flstore_core.models.base import Model, Program
from flstore_core.models.differences import add_base
from flstore_core.models.memory import Memory
from flstore_core.models.protocol import ModelRef
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Cause, Key, Request
from flstore_core.records import Job, Member, Updates, updates_shown
from flstore_core.shard.jobs import Jobs
from flstore_core.shard.protocol import Work
from flstore_core.storage import ObjectStore, read_many
from flstore_core.storage.documents import load_json

PROGRAM, DATASET = "program:", "dataset:"
"""Prefixes of the cache's member names for programs and data sets; no client's name contains a colon."""
CHUNK = 16 * 2**20
"""Bytes of one range read."""
HEADER_GUESS = 64 * 2**10
"""Bytes read in the hope that an artifact's header ends within them."""


@dataclass(frozen=True)
class Dataset:
    """A stored data set, its arrays views into one buffer."""

    sha256: str
    arrays: Mapping[str, NDArray[Any]]
    nbytes: int


Item = Program | Model | Dataset


@dataclass
class Tally:
    """Counts what one request took."""

    work: Work = field(default_factory=Work)

    def add(self, **counts: Any) -> None:
        self.work += Work(**counts)


class Library:
    """Reads through the cache. Safe to share between threads."""

    def __init__(self, store: ObjectStore, cache: Cache[Item]) -> None:
        self._store = store
        self._files = Files(store)
        self._cache = cache
        self.jobs = Jobs(store)

    def program(self, job: Job, sha256: str, tally: Tally) -> Program:
        """Return a job's program; raise `NotFound` if it is gone, `Unavailable` if it was replaced meanwhile."""
        key = Key(job.id, 0, PROGRAM)
        cached = self._cached(key, sha256, "program", tally)
        if isinstance(cached, Program) and cached.schema.digest == job.schema.digest:
            return cached
        self._cache.discard(key)
        started = perf_counter()
        body = self._read_program(job, sha256)
        tally.add(misses=1, bytes_touched=len(body), bytes_fetched=len(body), fetch_s=perf_counter() - started)
        program = Program(job.id, job.schema, sha256, Memory.of(body))
        self._cache.fill({key: program}, Cause.DEMAND, Pattern.P1)
        return program

    def dataset(self, job: Job, name: str, sha256: str, tally: Tally) -> Dataset:
        """Return a data set; raise `NotFound` if it is gone, `Unavailable` if it was replaced meanwhile."""
        key = Key(job.id, 0, DATASET + name)
        cached = self._cached(key, sha256, "dataset", tally)
        if isinstance(cached, Dataset):
            return cached
        stored = self._find(FileName.dataset(job.home, name), sha256)
        memory = self._read(layout.dataset(job.home, name, stored.upload), 0, stored.nbytes, tally)
        dataset = Dataset(sha256, codec.loads(memory.data.data)[0], memory.nbytes)
        self._cache.fill({key: dataset}, Cause.DEMAND, Pattern.P1)
        return dataset

    def model(self, job: Job, ref: ModelRef, pattern: Pattern, tally: Tally) -> Model:
        """Return a model that a request of the cache was counted for already."""
        key = ref.key(job.id)
        cached = self._cache.get(key)
        if isinstance(cached, Model) and cached.sha256 == ref.content:
            return cached
        self._cache.discard(key)
        base = self.model(job, ref.base, pattern, tally) if ref.base else None
        file, offset = self._place(job, ref)
        memory = self._read(file, offset, job.schema.nbytes, tally)
        if base:
            add_base(job.schema, memory.data, base.memory.data)
        model = Model(ref.content, job.schema, memory)
        self._cache.fill({key: model}, Cause.DEMAND, pattern)
        return model

    def locate(self, job: Job, name: ModelName) -> ModelRef:
        """Return where a model lies.

        Raises:
            NotFound: if it is not stored.
            NotEnoughData: if it is a difference from a model that is not stored.
        """
        if name.artifact:
            self._store.stat(layout.artifact(job.home, name.artifact))  # it may be cached here, and deleted since
            return ModelRef(name, name.artifact)
        try:
            record = load_json(self._store, layout.member(job.home, name.round, name.client))
        except NotFound:
            raise NotFound(f"job {job.id!r} stores no model {str(name)!r}") from None
        member = Member.from_place(record)
        if member is None:
            raise NotFound(f"model {str(name)!r} was removed from job {job.id!r}")
        is_delta = job.is_delta(name.client, self._updates_shown(job, name))
        return ModelRef.of(name, member, self._locate_base(job, name.round) if is_delta else None)

    def _updates_shown(self, job: Job, name: ModelName) -> Updates | None:
        """Return what the updates of a model's round were seen to be, by the round's record or else by its opening."""
        if job.updates_stated or name.client == AGGREGATE:
            return None
        number = name.round
        for key in (layout.round_record(job.home, number), layout.opening(job.home, number)):
            with suppress(NotFound):
                return updates_shown(load_json(self._store, key))
        return None

    def _locate_base(self, job: Job, number: int) -> ModelRef:
        base = load_json(self._store, layout.opening(job.home, number))["base"]
        if base is None:
            raise without_base(job.id, number)
        return self.locate(job, ModelName(base))

    def _read_program(self, job: Job, sha256: str) -> bytes:
        stored = self._find(FileName.program(job.home), sha256)
        return self._store.get(layout.program(job.home, stored.upload))

    def _find(self, name: FileName, sha256: str) -> StoredFile:
        """Return the record of the file that has that hash. Its name may mean another file by now."""
        stored = self._files.read(name)
        if stored.sha256 != sha256:
            raise Unavailable(f"object {name.record!r} was replaced while it was to be read; ask again")
        return stored

    def _cached(self, key: Key, sha256: str, reader: str, tally: Tally) -> Item | None:
        """Return what is cached under a key if it has that content; counted as a request of the cache."""
        cached = self._cache.request(Request(key.job, reader, Pattern.P1, (key,))).values.get(key)
        if cached is None or cached.sha256 != sha256:
            if cached is not None:
                self._cache.discard(key)
            return None
        tally.add(hits=1, bytes_touched=cached.nbytes)
        return cached

    def _place(self, job: Job, ref: ModelRef) -> tuple[str, int]:
        """Return a model's file and where its data section begins."""
        if not ref.name.artifact:
            file = layout.tensors(job.home, ref.name.round, ref.name.client, ref.upload)
            return file, ref.data_offset if ref.data_offset is not None else self._offset(job, file)
        file = layout.artifact(job.home, ref.name.artifact)
        return file, self._offset(job, file)

    def _offset(self, job: Job, file: str) -> int:
        start = self._store.get(file, length=HEADER_GUESS)
        length = 8 + int.from_bytes(start[:8], "little")
        if length > len(start):
            start = self._store.get(file, length=min(length, codec.MAX_HEADER_BYTES))
        header = codec.parse_header(memoryview(start))
        job.schema.check(header.schema)
        return header.data_offset

    def _read(self, file: str, offset: int, nbytes: int, tally: Tally) -> Memory:
        started = perf_counter()
        memory = Memory(nbytes)
        view = memory.data.data
        read_many(
            self._store, [(file, offset + at, view[at : at + CHUNK]) for at in range(0, nbytes, CHUNK)], workers=4
        )
        tally.add(misses=1, bytes_touched=nbytes, bytes_fetched=nbytes, fetch_s=perf_counter() - started)
        return memory
