"""The newest aggregates, within a budget of bytes."""

import pytest

from flstore_core import layout
from flstore_core.ids import Home, JobId
from services.gateway.rounds.newest import Newest

MNIST, CIFAR, TEXT = (layout.home(JobId(name), "g1") for name in ("mnist", "cifar", "text"))


def model(nbytes: int) -> memoryview:
    return memoryview(bytes(nbytes))


def kept(newest: Newest, *homes: Home) -> list[Home]:
    return [home for home in homes if newest.get(home, f"{home}/8") is not None]


def test_the_example_of_the_budget() -> None:
    newest = Newest(100)
    newest.keep(MNIST, f"{MNIST}/7", model(40))
    newest.keep(MNIST, f"{MNIST}/8", model(40))
    assert newest.get(MNIST, f"{MNIST}/7") is None
    assert newest.nbytes == 40
    newest.keep(CIFAR, f"{CIFAR}/8", model(40))
    newest.keep(TEXT, f"{TEXT}/8", model(40))
    assert kept(newest, MNIST, CIFAR, TEXT) == [CIFAR, TEXT]
    assert newest.nbytes == 80


def test_what_is_used_stays() -> None:
    newest = Newest(100)
    newest.keep(MNIST, f"{MNIST}/8", model(40))
    newest.keep(CIFAR, f"{CIFAR}/8", model(40))
    assert newest.get(MNIST, f"{MNIST}/8") is not None
    newest.keep(TEXT, f"{TEXT}/8", model(40))
    assert kept(newest, MNIST, CIFAR, TEXT) == [MNIST, TEXT]


@pytest.mark.parametrize("budget", [0, 39])
def test_a_model_over_the_budget_is_not_kept_and_takes_the_place_of_the_last_one(budget: int) -> None:
    newest = Newest(budget)
    newest.keep(MNIST, f"{MNIST}/7", model(min(budget, 30)))
    newest.keep(MNIST, f"{MNIST}/8", model(40))
    assert kept(newest, MNIST) == []
    assert newest.nbytes == 0


def test_a_file_that_is_still_being_sent_counts_until_it_has_been() -> None:
    newest = Newest(100)
    newest.keep(MNIST, f"{MNIST}/7", model(40))
    sent = newest.get(MNIST, f"{MNIST}/7")
    assert sent
    last_piece, sent = sent[30:], None
    newest.keep(MNIST, f"{MNIST}/8", model(40))
    newest.keep(CIFAR, f"{CIFAR}/8", model(40))
    newest.keep(TEXT, f"{TEXT}/8", model(40))
    assert kept(newest, MNIST, CIFAR, TEXT) == [TEXT]
    assert newest.nbytes == 80
    assert bytes(last_piece) == bytes(10)
    del last_piece
    assert newest.nbytes == 40
    newest.keep(MNIST, f"{MNIST}/9", model(40))
    assert newest.nbytes == 80


def test_what_has_no_room_beside_what_is_being_sent_pushes_nothing_out() -> None:
    newest = Newest(100)
    newest.keep(MNIST, f"{MNIST}/7", model(60))
    sent = newest.get(MNIST, f"{MNIST}/7")
    newest.forget(MNIST)
    newest.keep(CIFAR, f"{CIFAR}/8", model(30))
    newest.keep(TEXT, f"{TEXT}/8", model(50))
    assert kept(newest, CIFAR, TEXT) == [CIFAR]
    assert sent
    assert newest.nbytes == 90


def test_requests_and_hits_are_counted() -> None:
    newest = Newest(100)
    newest.keep(MNIST, f"{MNIST}/8", model(40))
    kept(newest, MNIST, MNIST, CIFAR)
    assert (newest.requests, newest.hits) == (3, 2)


def test_a_job_that_is_forgotten_gives_its_bytes_back() -> None:
    newest = Newest(100)
    newest.keep(MNIST, f"{MNIST}/8", model(40))
    newest.keep(CIFAR, f"{CIFAR}/8", model(40))
    newest.forget(MNIST)
    newest.forget(MNIST)
    assert kept(newest, MNIST, CIFAR) == [CIFAR]
    assert newest.nbytes == 40
