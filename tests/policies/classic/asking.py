"""Requests for single letters, for tests that compare what is cached with a list of letters."""

import random
from collections.abc import Mapping

from flstore_core.cache import Ledger
from flstore_core.cache.shadow import Shadow
from flstore_core.patterns import Pattern
from flstore_core.policies import Key, Request, make_policy

TEN_EACH: Mapping[str, int] = {chr(code): 10 for code in range(33, 512)}


class Asked:
    """A cache under the policy `name`, filled by the misses of requests for one letter each."""

    def __init__(self, name: str, budget: int, sizes: Mapping[str, int] = TEN_EACH, seed: int = 0) -> None:
        policy = make_policy(name, budget, lambda: 0.0, random.Random(seed))
        self.ledger = Ledger(policy, budget, lambda: 0.0)
        self._shadow = Shadow(self.ledger, {key(letter): size for letter, size in sizes.items()})
        self._letters = sizes

    def ask(self, letters: str) -> str:
        """Request letters one after the other; return h for each hit and m for each miss."""
        return "".join(
            "h" if self._shadow.request(Request("j", "w", Pattern.P1, (key(letter),))).hit else "m"
            for letter in letters
        )

    def cached(self) -> set[str]:
        return {letter for letter in self._letters if key(letter) in self.ledger}


def key(letter: str) -> Key:
    return Key("j", 0, letter)
