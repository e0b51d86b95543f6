"""Generated traces are readable, repeatable, and what their options say."""

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from flstore_core.errors import InvalidParameters, NotFound
from flstore_core.simulator import read_trace
from loadgen.traces.arrivals import ARRIVALS
from loadgen.traces.command import trace_command
from loadgen.traces.generator import MODEL_BYTES, TraceSettings, generate
from loadgen.traces.mixes import MIXES
from loadgen.traces.samplers import SAMPLERS

SMALL = {"clients": 30, "per_round": 5, "rounds": 40, "requests": 200, "hours": 2.0}


@pytest.mark.parametrize("mix", MIXES)
def test_every_mix_reads_back_with_as_many_requests_as_asked_for(mix: str) -> None:
    events = generate(TraceSettings(**SMALL, mix=mix))  # type: ignore[arg-type]
    kinds = Counter(event["event"] for event in events)
    assert kinds == {"update": 200, "commit": 40, "request": 200}
    assert read_trace(json.dumps(event) for event in events).lines == 440


@pytest.mark.parametrize("arrivals", ARRIVALS)
@pytest.mark.parametrize("sampling", SAMPLERS)
def test_every_arrival_process_and_sampler_gives_a_good_trace(arrivals: str, sampling: str) -> None:
    settings = TraceSettings(**SMALL, arrivals=arrivals, sampling=sampling)  # type: ignore[arg-type]
    events = generate(settings)
    assert read_trace(json.dumps(event) for event in events).lines == 440
    rounds = Counter(event["round"] for event in events if event["event"] == "update")
    assert set(rounds.values()) == {5}


def test_equal_settings_give_equal_traces_and_seeds_matter() -> None:
    settings = TraceSettings(**SMALL)  # type: ignore[arg-type]
    other = TraceSettings(**SMALL, seed=2)  # type: ignore[arg-type]
    assert generate(settings) == generate(settings) != generate(other)


def test_the_papers_mix_asks_in_all_patterns_alike() -> None:
    events = generate(TraceSettings(rounds=100, requests=1000, hours=5.0))
    patterns = Counter(event["pattern"] for event in events if event["event"] == "request")
    assert patterns == {"P1": 250, "P2": 250, "P3": 250, "P4": 250}


def test_the_mix_shifts_half_way() -> None:
    events = generate(TraceSettings(rounds=100, requests=1000, hours=5.0, mix="shift"))
    asked = [event for event in events if event["event"] == "request"]
    early = Counter(event["pattern"] for event in asked if event["t"] < 0.45 * 5 * 3600)
    late = Counter(event["pattern"] for event in asked if event["t"] > 0.55 * 5 * 3600)
    assert early.keys() == {"P1", "P2"}
    assert late.keys() == {"P3", "P4"}


def test_zipf_and_oort_come_back_to_clients_more_than_uniform_sampling() -> None:
    def busiest(sampling: str) -> int:
        settings = TraceSettings(clients=250, rounds=200, requests=0, sampling=sampling)
        return max(Counter(e["client"] for e in generate(settings) if e["event"] == "update").values())

    assert busiest("zipf") > 2 * busiest("uniform")
    assert busiest("oort") > busiest("uniform")


def test_models_weigh_what_their_parameters_do() -> None:
    # Parameter counts as published with torchvision's weights.
    assert MODEL_BYTES["resnet18"] == 4 * 11_689_512
    assert MODEL_BYTES["mobilenet_v3_small"] == 4 * 2_542_856
    assert MODEL_BYTES["efficientnet_v2_s"] == 4 * 21_458_488
    assert MODEL_BYTES["swin_v2_t"] == 4 * 28_351_570


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("rounds", 0, InvalidParameters),
        ("hours", -1.0, InvalidParameters),
        ("requests", -1, InvalidParameters),
        ("per_round", 251, InvalidParameters),
        ("mix", "papr", NotFound),
    ],
)
def test_settings_that_make_no_trace_are_refused(field: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=field):
        TraceSettings(**{field: value})  # type: ignore[arg-type]


def test_the_command_writes_json_lines(tmp_path: Path) -> None:
    output = tmp_path / "T.jsonl"
    options = ["--clients", "30", "--per-round", "5", "--rounds", "10", "--requests", "20", "--hours", "1"]
    result = CliRunner().invoke(trace_command, [*options, "--mix", "paper", "--seed", "1", "-o", str(output)])
    assert result.exit_code == 0, result.output
    assert read_trace(output).lines == 10 * 6 + 20
