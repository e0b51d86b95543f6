"""What the case study makes of measurements; the measurements themselves are made by `make frameworks`."""

import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from flstore_core.errors import NotFound
from tests.frameworks import clients, memory, programs
from tests.frameworks.accuracy import Case, Learned, even_cases, uneven_cases
from tests.frameworks.environments import ROOT
from tests.frameworks.overhead import Overhead
from tests.frameworks.plan import RESNET, Outcome, Plan
from tests.frameworks.programs import FRAMEWORKS, longest_s
from tests.frameworks.quickstart import Recorded
from tests.frameworks.report import pictured, section
from tests.frameworks.steps import Steps, side_by_side
from tests.frameworks.study import Study, merged, shortfalls

FLOWER, NVFLARE = FRAMEWORKS


@pytest.fixture(autouse=True)
def without_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have frameworks of one version, so that none is installed."""
    monkeypatch.setattr(programs.Framework, "version", "1.42.0")


def learned(final: float = 0.95, excluded: int = 0) -> Learned:
    return Learned(Outcome([0.1, final]), excluded, 0, 0)


def study(**parts: Any) -> Study:
    """Return measurements in which every training ends at 0.95, but for the parts that are given."""
    measured: dict[str, Any] = {
        "recorded": Recorded(changed_lines=2, rounds=3, updates=4, nbytes=1234),
        "learned": {case: learned() for case in (*even_cases(), *uneven_cases())},
        "overheads": {0.0: Overhead(2.0, 3.0), 6.0: Overhead(16.0, 16.8)},
        "peaks": {memory.WITHOUT: {10: 500_000_000}, "value": {10: 600_000_000, 30: 1_600_000_000}},
    }
    return Study(FLOWER, **(measured | parts))


def test_what_was_measured_is_in_the_section() -> None:
    text = section([study()], [], "Made today.")
    assert text.startswith("Made today.")
    assert "| Flower 1.42.0 | `flwr run` and SuperNodes" in text
    assert "| 2 | 3 | 4 | 1,234 |" in text
    assert "| Flower | sign-flip | 95.0 % | 95.0 % | 0 | 0 |" in text
    assert "| Flower | none; honest clients alone | 95.0 % | – | – | – |" in text
    assert "| Flower | of messages alone | 2.00 s | 3.00 s | 1.50 |" in text
    assert "| Flower | with training for 6 s | 16.00 s | 16.80 s | 1.05 |" in text
    assert "| Flower | without FLStore | 500.0 MB | – | – | – |" in text
    assert "| Flower | by value, with FLStore | 600.0 MB | 1,600.0 MB | – | 50.0 MB |" in text


def test_the_same_measurements_make_the_same_page() -> None:
    shuffled = dict(reversed(list(study().learned.items())))
    assert section([study()], [], "") == section([study(learned=shuffled)], [], "")
    assert pictured(study()) == pictured(study(learned=shuffled))


def test_what_advice_loses_is_told_from_what_missing_data_loses() -> None:
    of_seed_2 = {
        Case(seed=2, alpha=0.5): learned(0.96),
        Case(seed=2, alpha=0.5, alone=True): learned(0.93),
        Case("sign-flip", "exclude", 2, 0.5): learned(0.92, excluded=1),
    }
    measured = study(learned={**study().learned, **of_seed_2})
    assert "| Flower | 2 | 96.0 % | 93.0 % | 92.0 % | 3.0 | 1.0 | 1 | 0 |" in section([measured], [], "")
    assert [told for told in shortfalls(measured) if "seed 2" in told] == [
        "Flower: with 3 sign-flip attackers, α = 0.5 and seed 2, accuracy ends 4.0 points lower than without "
        "attackers, in spite of advice; without the attackers' data it ends 3.0 points lower anyway.",
        "Flower: with 3 sign-flip attackers, α = 0.5 and seed 2, honest updates were left out 1 times.",
    ]


def test_what_was_not_reached_is_told() -> None:
    assert list(shortfalls(study())) == [
        "Flower: rounds of messages alone take 1.50 times as long with FLStore; 1.10 were hoped for.",
        "Flower, without FLStore: 30 and 100 clients were not measured; "
        "they take more memory than was free, or failed.",
        "Flower, by value, with FLStore: 100 clients were not measured; "
        "they take more memory than was free, or failed.",
    ]
    blamed = study(learned={**study().learned, Case("", "exclude"): learned(excluded=3)})
    assert "Flower: with no attackers, honest updates were left out 3 times." in shortfalls(blamed)


def test_numbers_of_clients_without_a_figure_are_told() -> None:
    assert list(shortfalls(Study(NVFLARE, peaks={"value": {10: 1}}))) == [
        "NVFlare: rounds of messages alone were not tried, which takes longer than this study has.",
        "NVFlare, by value, with FLStore: 100 clients were not tried, which takes longer than this study has.",
        "NVFlare, by value, with FLStore: 30 clients were not measured; "
        "they take more memory than was free, or failed.",
    ]


def test_trainings_of_one_framework_are_told_together_whichever_lane_they_took() -> None:
    even, uneven = dict.fromkeys(even_cases(), learned()), dict.fromkeys(uneven_cases(), learned(0.9))
    lanes = [Study(FLOWER, learned=even), Study(NVFLARE, learned=even), Study(FLOWER, learned=uneven)]
    assert merged(lanes) == [Study(FLOWER, learned=even | uneven), Study(NVFLARE, learned=even)]


def test_a_training_that_takes_more_memory_than_is_free_is_not_tried() -> None:
    assert memory.peak(NVFLARE, "http://nowhere", "value", 10_000_000) is None


def test_what_failed_is_told_in_place_of_its_figures() -> None:
    text = section([study(recorded=None, learned={}, overheads={}, peaks={})], ["Flower, x: it failed."], "")
    assert "| Flower | sign-flip | – | – | – | – |" in text
    assert text.endswith("- Flower, x: it failed.")


def test_a_part_that_fails_is_noted_and_others_go_on() -> None:
    steps = Steps(Console(file=StringIO()))

    def fail() -> str:
        raise NotFound("there is no job\nand more")

    assert side_by_side([lambda: steps.take("a", fail), lambda: steps.take("b", lambda: "there")]) == [None, "there"]
    assert steps.problems == ["a: nothing came of it, because there is no job, then there is no job."]


def test_a_part_that_fails_once_is_done_again_and_told() -> None:
    steps, results = Steps(Console(file=StringIO())), iter([NotFound("there is no job"), None])

    def fail_once() -> str:
        if error := next(results):
            raise error
        return "there"

    assert steps.take("a", fail_once) == "there"
    assert steps.problems == ["a: it was done again, because there is no job."]


def test_parts_for_which_there_is_no_time_are_left_out_and_told() -> None:
    steps = Steps(Console(file=StringIO()), longest_s=-1.0)
    assert steps.take("a", lambda: "there") is None
    assert steps.problems == ["a: nothing came of it, because no time was left for it."]


@pytest.mark.parametrize(
    ("script", "longest_s", "why"),
    [
        ("echo no memory; exit 3", 20.0, "its program ended with 3"),
        ("echo no outcome", 20.0, "its program ended with 0"),
        ("echo waiting; sleep 600", 1.0, "it took longer than 1 s"),
    ],
)
def test_a_training_that_fails_says_why_and_what_its_program_said(
    script: str, longest_s: float, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setenv("FLOWER_SIMULATION_ENV", str(tmp_path))
    monkeypatch.setattr(programs, "LONGEST_S", longest_s)
    with pytest.raises(RuntimeError) as told:
        FLOWER.train(Plan())
    first, *rest = str(told.value).splitlines()
    assert first == why
    assert script.split(";")[0].removeprefix("echo ") in rest


def test_the_smaller_a_training_the_sooner_it_counts_as_lost() -> None:
    assert [longest_s(Plan(RESNET, clients, rounds=1)) for clients in (10, 30, 100)] == [82.5, 97.5, 150.0]
    assert longest_s(Plan()) == 150.0


def test_a_training_that_fails_ends_its_program_whatever_its_framework_still_does() -> None:
    script = """
import threading
from tests.frameworks.plan import answer

def train(plan):
    threading.Thread(target=threading.Event().wait).start()
    raise RuntimeError("no simulation")

answer(train)
"""
    command = [sys.executable, "-c", script, "{}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr.endswith("RuntimeError: no simulation\n")


def test_the_picture_has_a_curve_for_each_kind_of_training() -> None:
    names = [
        f"{attack} attackers, {advice}"
        for attack in ("no", "sign-flip", "scaled-noise")
        for advice in ("no advice", "advice followed")
    ]
    assert list(pictured(study()).curves) == [*names, "honest clients alone"]


def test_a_server_s_memory_is_its_own_and_not_that_of_who_started_it() -> None:
    ballast = bytearray(b"x") * 2**28
    command = [sys.executable, "-c", "from tests.frameworks.plan import peak_bytes; print(peak_bytes())"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert 2**22 < int(told) < len(ballast)


def test_a_training_without_flstore_has_no_address() -> None:
    assert Case("sign-flip").plan("http://store", "j").url == ""
    assert Case("", "exclude").plan("http://store", "j").attackers == 0
    assert Case(alone=True).plan("http://store", "j").present == 7


def test_attackers_send_their_delta_with_the_sign_flipped() -> None:
    honest, attacked = Plan().config, Plan(attack="sign-flip", attackers=1).config
    start = clients.initial(honest)
    (sent, metrics), (flipped, _) = clients.train(start, honest, 0, 1), clients.train(start, attacked, 0, 1)
    for name, array in start.items():
        assert np.allclose(flipped[name] - array, array - sent[name], atol=1e-5)
    assert metrics["num-examples"] > 8
    assert all(np.array_equal(*pair) for pair in zip(start.values(), clients.initial(attacked).values(), strict=True))


def test_who_trains_alone_has_the_same_data_as_with_others() -> None:
    config, alone = Plan().config, Plan(absent=3).config
    start = clients.initial(config)
    for together, apart in zip(clients.train(start, config, 5, 1), clients.train(start, alone, 5, 1), strict=True):
        assert str(together) == str(apart)


def test_the_model_learns() -> None:
    config = Plan().config
    start = clients.initial(config)
    assert clients.accuracy(clients.train(start, config, 0, 1)[0], config) > clients.accuracy(start, config)


@pytest.mark.parametrize("model", [Plan().model, RESNET])
def test_a_model_is_the_same_as_one_array(model: str) -> None:
    config = Plan(model).config
    start = clients.initial(config)
    again = clients.layered(clients.flat(start), config)
    assert np.array_equal(clients.flat(again), clients.flat(start))
    assert clients.train(again, config, 1, 1)[1] == clients.train(start, config, 1, 1)[1]


def test_models_of_resnets_size_take_a_step() -> None:
    config = Plan(RESNET, training_s=0.0).config
    start = clients.initial(config)
    sent, _ = clients.train(start, config, 3, 1)
    others = [clients.train(start, config, client, number)[0]["fc.bias"] for client, number in ((3, 2), (4, 1))]
    assert not any(np.array_equal(sent["fc.bias"], other) for other in others)
    assert np.std(sent["fc.bias"] - start["fc.bias"]) == pytest.approx(clients.STEP, rel=0.1)
    assert sum(array.nbytes for array in sent.values()) == pytest.approx(memory.MODEL_BYTES, rel=0.01)
    assert not np.array_equal(sent["fc.bias"], start["fc.bias"])
    assert np.isnan(clients.accuracy(sent, config))
