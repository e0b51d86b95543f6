"""What the case study makes of measurements; the measurements themselves are made by `make frameworks`."""

from dataclasses import replace

import numpy as np
import pytest

from tests.frameworks import clients, memory
from tests.frameworks.accuracy import Case, Learned, cases
from tests.frameworks.overhead import Overhead
from tests.frameworks.plan import RESNET, Outcome, Plan
from tests.frameworks.quickstart import Recorded
from tests.frameworks.report import Study, plotted, section, shortfalls


def study(final: float = 0.95, excluded: int = 0) -> Study:
    """Return measurements in which advice ends at `final`, and trainings without it at 0.95."""
    learned = {
        case: Learned(Outcome([0.1, final if case.advice else 0.95]), excluded if case.advice else 0, 0, 0)
        for case in cases()
    }
    peaks = {memory.WITHOUT: {10: 600_000_000, 30: 1_600_000_000, 100: None}}
    recorded = Recorded(changed_lines=2, rounds=3, updates=4, nbytes=1234)
    overheads = {0.0: Overhead(2.0, 3.0), 10.0: Overhead(16.0, 16.8)}
    return Study("Flower", "1.42.0", "its simulation", recorded, learned, overheads, peaks)


def test_what_was_measured_is_in_the_section() -> None:
    text = section([study()], "Made today.")
    assert text.startswith("Made today.")
    assert "| Flower 1.42.0 | its simulation | 2 | 3 | 4 | 1,234 |" in text
    assert "| Flower | sign-flip | 95.0 % | 95.0 % | 0 | 0 |" in text
    assert "| Flower | of messages alone | 2.00 s | 3.00 s | 1.50 |" in text
    assert "| Flower | with training for 10 s | 16.00 s | 16.80 s | 1.05 |" in text
    assert "| Flower | without FLStore | 600.0 MB | 1,600.0 MB | – | 50.0 MB |" in text


def test_what_was_not_reached_is_told() -> None:
    assert list(shortfalls(study())) == [
        "Flower: rounds of messages alone take 1.50 times as long with FLStore; 1.10 were hoped for.",
        "Flower, without FLStore: 100 clients would take more memory than this machine has.",
    ]
    told = list(shortfalls(study(final=0.9, excluded=3)))
    assert "Flower: with 3 sign-flip attackers, accuracy ends 5.0 points lower in spite of advice." in told
    assert "Flower: with no attackers, honest updates were left out 3 times." in told


def test_frameworks_that_train_no_large_models_are_named() -> None:
    (told,) = shortfalls(replace(study(), overheads={}, peaks={}))
    assert told == "Flower: time per round and the server's memory are not measured."


def test_the_plot_has_a_curve_for_each_kind_of_training() -> None:
    svg = plotted(study())
    for attack in ("no", "sign-flip", "scaled-noise"):
        for advice in ("no advice", "advice followed"):
            assert f">{attack} attackers, {advice}</text>" in svg


def test_a_training_without_flstore_has_no_address() -> None:
    assert Case("sign-flip", "", 1).plan("http://store", "j").url == ""
    assert Case("", "exclude", 1).plan("http://store", "j").attackers == 0


def test_attackers_send_their_delta_with_the_sign_flipped() -> None:
    honest, attacked = Plan().config, Plan(attack="sign-flip", attackers=1).config
    start = clients.initial(honest)
    (sent, metrics), (flipped, _) = clients.train(start, honest, 0, 1), clients.train(start, attacked, 0, 1)
    for name, array in start.items():
        assert np.allclose(flipped[name] - array, array - sent[name], atol=1e-5)
    assert metrics["num-examples"] > 8
    assert all(np.array_equal(*pair) for pair in zip(start.values(), clients.initial(attacked).values(), strict=True))


def test_the_model_learns() -> None:
    config = Plan().config
    start = clients.initial(config)
    assert clients.accuracy(clients.train(start, config, 0, 1)[0], config) > clients.accuracy(start, config)


def test_models_of_resnets_size_take_a_step() -> None:
    config = Plan(RESNET).config
    start = clients.initial(config)
    sent, _ = clients.train(start, config, 3, 1)
    assert sum(array.nbytes for array in sent.values()) == pytest.approx(memory.MODEL_BYTES, rel=0.01)
    assert not np.array_equal(sent["fc.bias"], start["fc.bias"])
