"""What this version writes beside the previous release, read by that release's own code."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from flstore_core import layout
from flstore_core.files import StoredFile
from flstore_core.generations import State, _deleted, _document
from flstore_core.ids import AGGREGATE, ClientId, JobId, ShardId
from flstore_core.model_names import ModelName
from flstore_core.models.protocol import ModelRef, RunRequest
from flstore_core.patterns import Pattern
from flstore_core.placement.base import Assignment, Shard, Table
from flstore_core.records import Job, Member, Round
from flstore_core.schema import Schema, TensorSpec
from flstore_core.shard import working_set
from flstore_core.shard.protocol import MapRequest, MemberRef, SliceRef, StatisticsRequest, UploadMessage, Work
from flstore_core.storage.documents import load_json
from services.gateway.answers.operation_records import RUNNING, Operation
from services.gateway.rounds.opening import Opening
from tests.fakes.store import MemoryStore

READERS = """
import json, sys
from flstore_core.models.messages import RunRequest
from flstore_core.placement import Table
from flstore_core.records import Job, Member, Round
from flstore_core.shard.messages import MapRequest, MemberRef, SliceRef, StatisticsRequest, Work
from services.gateway.models import Stored
from services.gateway.operations import Operation
from services.gateway.rounds import Opening

def upload(message):
    base = message["base"]
    return SliceRef(**message["part"]), MemberRef(**message["member"]), base and MemberRef(**base)

def entries(manifest):
    return [(SliceRef(**each["part"]), MemberRef(**each["member"])) for each in manifest["entries"]]

def fields(kind):
    return lambda data: kind(**data)

READ = {
    "job": Job.from_json, "member": Member.from_json, "round": Round.from_json, "opening": fields(Opening),
    "operation": fields(Operation), "file": fields(Stored), "table": Table.from_json, "manifest": entries,
    "upload": upload, "statistics": StatisticsRequest.from_json, "map": MapRequest.from_json,
    "run": RunRequest.from_json, "work": fields(Work),
}
for line in sys.stdin:
    kind, data = json.loads(line)
    try:
        print(json.dumps(repr(READ[kind](data))))
    except Exception as error:
        print(json.dumps(f"{kind}: {error!r}"))
"""
"""How the previous release reads each kind, as its own code does it."""

ADA = ClientId("ada")
JOB = Job(JobId("j"), Schema.of([TensorSpec("w", "F32", (3,))]), generation="g1", updates_stated=False)
MEMBER = Member(ADA, "ab", 100, 80, {"num_examples": 3}, 1.0, "u1")
OPERATION = Operation("o", JobId("j"), "evaluate", {}, RUNNING, 1.0, 2.0, read_only=True, attempts=3)
SLICE, REF = SliceRef(JobId("j"), "d", 2, 1), MemberRef(1, ADA, "ab", 80, 3.0)
RUN = RunRequest(
    JobId("j"), "d", "p", {"test": "ab"}, "evaluate", Pattern.P1, {}, (ModelRef(ModelName(1, ADA), "ab", 80),)
)


class Holding:
    """A shard that holds a slice of an old job and one of a new job."""

    def working_set(self) -> list[tuple[SliceRef, MemberRef]]:
        return [(SLICE, REF), (replace(SLICE, generation="g1"), replace(REF, upload="u1", is_delta=True))]


def manifest() -> Any:
    store = MemoryStore()
    working_set.save(store, "shard-0", Holding())
    return load_json(store, layout.working_set("shard-0"))


WRITTEN: Mapping[str, tuple[str, Any]] = {
    "a job": ("job", _document(JOB, State.LIVE)),
    "a deleted job": ("job", _deleted(JobId("j"), "g1")),
    "a member": ("member", MEMBER.to_json()),
    "a round": ("round", Round(3, 1, (MEMBER,), replace(MEMBER, client=AGGREGATE)).to_json()),
    "an opening": ("opening", Opening(3, commit_begun=True).to_json()),
    "a reader's operation that outlived gateways": ("operation", OPERATION.to_json()),
    "a failed operation": ("operation", replace(OPERATION, state="failed", problem={"code": "busy"}).to_json()),
    "a program or data set": ("file", StoredFile("ab", 100, {"tensors": {}}, 1.0, "u1").to_json()),
    "the placement table": (
        "table",
        Table(
            3,
            {ShardId("s"): Shard(ShardId("s"), 1 << 20, "http://s")},
            {JobId("j"): Assignment(((ShardId("s"),),), 1)},
            {ShardId("p"): "http://p"},
        ).to_json(),
    ),
    "a working set": ("manifest", manifest()),
    "an upload's slice": ("upload", UploadMessage(SLICE, REF, REF).to_json()),
    "a request for statistics": ("statistics", StatisticsRequest(SLICE, (REF,), None).to_json()),
    "a request for a map": ("map", MapRequest(SLICE, "norms", Pattern.P1, {}, (REF,), REF).to_json()),
    "a request for a run": ("run", RUN.to_json()),
    "the work of an answer": ("work", Work(1, 2, 3, 4, 0.5, 0.25).to_json()),
}


@pytest.fixture(scope="module")
def read(release: Mapping[str, str]) -> Mapping[str, str]:
    """What the previous release makes of everything, by name: the value as Python shows it, or an error."""
    lines = "\n".join(json.dumps(each) for each in WRITTEN.values())
    command = [sys.executable, "-c", READERS]
    done = subprocess.run(command, env=dict(release), input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(zip(WRITTEN, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", WRITTEN)
def test_the_release_reads_it(name: str, read: Mapping[str, str]) -> None:
    assert "Error(" not in read[name]


def test_the_release_does_not_learn_of_what_it_could_not_use(read: Mapping[str, str]) -> None:
    assert "needs-a-later-version-of-FLStore" in read["a job"]
    assert read["a working set"].count("SliceRef") == 1
    assert "'later': {'read_only': True, 'attempts': 3}" in read["a reader's operation that outlived gateways"]
