"""Random replacement: every cached key is equally likely to leave, and a seed fixes the draws."""

from collections import Counter

from tests.policies.classic.asking import Asked, key


def test_the_same_seed_draws_the_same() -> None:
    asked = "abcdeabcdeabcde"
    assert Asked("random", 30, seed=3).ask(asked) == Asked("random", 30, seed=3).ask(asked)


def test_other_seeds_draw_otherwise() -> None:
    assert len({Asked("random", 30, seed=seed).ask("abcdeabcdeabcde") for seed in range(10)}) > 1


def test_each_key_is_evicted_equally_often() -> None:
    """Of 400 draws among four, each comes 100 times; five standard deviations are 43."""
    evicted: Counter[str] = Counter()
    for seed in range(400):
        cache = Asked("random", 40, seed=seed)
        cache.ask("abcde")
        evicted.update(set("abcd") - cache.cached())
    assert sum(evicted.values()) == 400
    assert all(57 <= evicted[letter] <= 143 for letter in "abcd")


def test_a_pinned_key_is_passed_over_for_the_next() -> None:
    for seed in range(10):
        cache = Asked("random", 30, seed=seed)
        cache.ask("abc")
        cache.ledger.pin(key("a"))
        cache.ledger.pin(key("b"))
        cache.ask("d")
        assert cache.cached() == set("abd")


def test_discarding_any_key_leaves_the_others_to_draw_from() -> None:
    for letter in "abc":
        cache = Asked("random", 30)
        cache.ask("abc")
        cache.ledger.discard(key(letter))
        assert cache.cached() == set("abc") - {letter}
        cache.ask("defgh")
        assert len(cache.cached()) == 3
