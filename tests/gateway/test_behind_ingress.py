"""A gateway whose shards, predictors and controller are behind an ingress that answers in their place now and then."""

from collections.abc import Iterator

import numpy as np
import pytest

from flstore_core.errors import Unavailable
from flstore_core.ids import ClientId, JobId
from flstore_core.models.protocol import RunRequest
from flstore_core.patterns import Pattern
from flstore_core.shard.protocol import Work
from services.gateway.answers.question import Options
from services.gateway.backends.calls import Calls
from services.gateway.backends.predictors import Predictors
from tests.fakes.clock import FakeTime
from tests.fakes.engines import PredictorWire
from tests.gateway.world import NAME, World, vector, world
from tests.ingress import PLAYED, Ingress, ingress

ANEW = Options(recompute=True)
RUN = RunRequest(JobId("job"), "digest", "program", {}, "evaluate", Pattern.P2, {}, ())


@pytest.fixture
def front() -> Iterator[Ingress]:
    with ingress() as playing:
        yield playing


def check_median(gateway: World) -> None:
    """Ask every shard for its slice of round 0's median."""
    answer = gateway.run("aggregate", ANEW, round=0, method="median")
    expected = np.median([vector(seed) for seed in (1, 2, 3)], axis=0)
    assert answer.result["moved"] == pytest.approx(np.linalg.norm(expected), abs=1e-6)


@pytest.mark.parametrize("says", PLAYED.values(), ids=PLAYED)
def test_what_an_ingress_says_is_neither_passed_on_nor_believed(front: Ingress, says: bytes) -> None:
    """The controller places; shards take slices, compute and forget: each is asked again until it answers itself."""
    gateway = world(wire=front.wire)
    held = gateway.shards.engine.inventory
    front.play(says)
    gateway.create()
    gateway.fill(0, 3)
    assert held()["jobs"][NAME]["objects"] == 6, "a slice was lost on its way"
    gateway.commit(0)
    check_median(gateway)
    gateway.state.eraser.erase(NAME, ClientId("c0"))
    assert held()["jobs"][NAME]["objects"] == 4, "a shard keeps a client that was erased"
    gateway.state.jobs.delete(NAME)
    assert NAME not in held()["jobs"], "a shard keeps a job that was deleted"
    assert gateway.controller.deleted == [NAME]


@pytest.mark.parametrize("says", PLAYED.values(), ids=PLAYED)
def test_a_predictor_is_asked_again_too(front: Ingress, says: bytes) -> None:
    predictor = PredictorWire({"loss": np.array([0.5])}, Work(hits=1))
    predictors = Predictors(Calls(60.0, FakeTime(), front.wire(predictor)))
    front.play(says)
    partial, work = predictors.run(["http://predictor-0"], RUN, lambda done, total: None)
    assert (partial["loss"].tolist(), work.hits, len(predictor.requests)) == ([0.5], 1, 1)


def test_a_job_that_is_created_anew_while_its_shards_routes_are_made_is_committed_and_asked(front: Ingress) -> None:
    """For 12 requests to each shard, which take some 15 s, the ingress knows no route."""
    gateway = world(wire=front.wire)
    gateway.create()
    gateway.fill(0, 3)
    gateway.commit(0)
    gateway.state.jobs.delete(NAME)
    front.spared = lambda sent: "//placement" in sent.url
    front.play(PLAYED["route being remade"], times=12)
    gateway.create()
    gateway.fill(0, 3)
    assert gateway.shards.engine.inventory()["jobs"][NAME]["objects"] == 6
    gateway.commit(0)
    check_median(gateway)


@pytest.mark.parametrize("name", ["route being remade", "page of its own", "permanent redirect"])
def test_an_ingress_that_never_finds_the_shard_makes_it_unavailable(front: Ingress, name: str) -> None:
    gateway = world(wire=front.wire)
    gateway.create()
    gateway.fill(0, 3)
    gateway.commit(0)
    front.spared = lambda sent: "//placement" in sent.url
    front.play(PLAYED[name], times=10**6)
    with pytest.raises(
        Unavailable, match=r"http://shard-\d does not answer POST /v1/map: the server answered"
    ) as caught:
        check_median(gateway)
    assert type(caught.value) is Unavailable


def test_what_is_signed_is_not_sent_where_a_redirect_leads(front: Ingress) -> None:
    gateway = world(wire=front.wire)
    gateway.create()
    front.seen.clear()
    back = PLAYED["permanent redirect"].replace(b"https://localhost:1", front.url.encode() + b"/elsewhere")
    front.play(back)
    gateway.put(0, "c0", 1)
    assert [sent.path for sent in front.seen if "elsewhere" in sent.path] == []
