"""What advisers say, as factors on weights."""

from typing import Any

import pytest

from flstore_core.client import FLStore
from flstore_core.ids import ClientId
from flstore_core.integrations.recorder.advice import Advice, Mode, Opinion, ask, combine
from flstore_core.records import Member, Round
from tests.client.scripted import Script, scripted


def answered(script: Script, result: dict[str, Any]) -> FLStore:
    """Return the client of a store that gives this answer."""
    script.reply({"job": "j", "workload": "w", "pattern": "P2", "rounds": [1], "result": result, "execution": {}})
    return FLStore(script.url, retries=0)


@pytest.mark.parametrize(
    ("result", "factors"),
    [
        ({"malicious": ["c1"], "excluded": ["c2"]}, {"c1": 0.0, "c2": 0.0}),
        ({"clients": [{"client": "c1", "factor": 0.5}, {"client": "c2", "trust": 1}]}, {"c1": 0.5, "c2": 1.0}),
        ({"excluded": ["c1"], "clients": [{"client": "c1", "trust": 0.7}]}, {"c1": 0.0}),
        ({"round": 3, "clients": ["c1"], "rows": [{"name": "c1"}]}, {}),
    ],
)
def test_the_answer_of_any_workload_is_read(result: dict[str, Any], factors: dict[str, float]) -> None:
    with scripted() as script:
        assert ask("own-workload", answered(script, result), "j", 1).factors == factors


def test_trust_is_a_factor_where_the_filter_has_a_trust() -> None:
    verdicts = [
        {"client": "c1", "malicious": False, "trust": None, "reasons": []},
        {"client": "c2", "malicious": False, "trust": 0.25, "reasons": []},
        {"client": "c3", "malicious": True, "trust": 0.9, "reasons": ["is long"]},
    ]
    with scripted() as script:
        opinion = ask("malicious-filter", answered(script, {"verdicts": verdicts}), "j", 1)
    assert opinion == Opinion({"c1": 1.0, "c2": 0.25, "c3": 0.0}, {"c3": ["is long"]})


def test_contributions_to_a_round_without_direction_say_nothing() -> None:
    rows = [{"client": "c1", "value": 0.0, "standard_error": 0.0}]
    with scripted() as script:
        assert ask("contribution", answered(script, {"contributions": rows}), "j", 1).factors == {}


def test_who_contributes_nothing_is_not_left_out() -> None:
    rows = [
        {"client": "c1", "value": 0.8, "standard_error": 0.0},
        {"client": "c2", "value": -0.1, "standard_error": 0.2},
        {"client": "c3", "value": -0.1, "standard_error": 0.01},
    ]
    with scripted() as script:
        opinion = ask("contribution", answered(script, {"contributions": rows}), "j", 1)
    assert opinion.factors["c1"] == 1.0
    assert 0.0 < opinion.factors["c2"] < 0.01
    assert opinion.factors["c3"] == 0.0


def test_a_client_without_history_has_half_a_reputation() -> None:
    round_ = Round(1, None, (Member(ClientId("c1"), "", 1, 1),)).to_json()
    with scripted() as script:
        script.reply(round_)
        script.problem(404, "not-found", "no client c1")
        assert ask("reputation", FLStore(script.url, retries=0), "j", 1).factors == {"c1": 0.5}


def test_a_function_may_return_an_opinion() -> None:
    opinion = Opinion({"c1": 0.5}, {"c1": ["is slow"]})
    round_ = Round(1, None, ()).to_json()
    with scripted() as script:
        script.reply(round_)
        assert ask(lambda store, job, round_: opinion, FLStore(script.url, retries=0), "j", 1) is opinion


ADVISED = [Opinion({"c1": 0.5, "c2": 0.0, "c3": 1.0}, {"c2": ["is long"]})]


@pytest.mark.parametrize(
    ("mode", "factors"),
    [(Mode.EXCLUDE, {"c2": 0.0}), (Mode.WEIGH, {"c1": 0.5, "c2": 0.0}), (Mode.OBSERVE, {})],
)
def test_the_mode_says_what_is_done_with_factors(mode: Mode, factors: dict[str, float]) -> None:
    advice = combine(mode, ["a"], ADVISED, ["c1", "c2", "c3"])
    assert advice.factors == factors
    assert advice.advised == {"c1": 0.5, "c2": 0.0}
    assert advice.reasons == {"c2": ["is long"]}


def test_if_nobody_would_be_left_everyone_is() -> None:
    assert combine(Mode.EXCLUDE, ["a"], [Opinion({"c1": 0.0})], ["c1"]).factors == {}
    assert combine(Mode.EXCLUDE, ["a"], [Opinion({"c1": 0.0})], ["c1", "c2"]).factors == {"c1": 0.0}
    assert Advice().factor("c1") == 1.0
