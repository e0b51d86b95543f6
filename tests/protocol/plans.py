"""Plans: what the clients of a schedule want, through which gateways, and what has happened before they begin.

Chance alone rarely makes a race. So a plan has few objects (often one round and one client), mostly kinds of requests
that have something to do with each other, a beginning at which there is something to race for (`THEMES`), and now and
then several clients that want the very same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from tests.protocol.treatments import CRASH, LAST, LATE, LOST, REFUSED, STALLED, TWICE

CLIENTS = ("ada", "bob", "cyd")
ROUNDS = (0, 1)
CACHED = 1e9
"""Seconds after which a gateway looks at the store again that would never do so in a schedule."""

GENERATIONS = ("g1", "g1", "g1", "")
"""Jobs of version 0.1.0 have the empty one, and files without names."""

TROUBLES: Sequence[Mapping[str, int]] = (
    {},
    {},
    {STALLED: 100},
    {CRASH: 40},
    {CRASH: 100},
    {REFUSED: 60, LOST: 60},
    {LOST: 150},
    {TWICE: 60, LATE: 60},
    {REFUSED: 20, LOST: 20, TWICE: 20, LATE: 20, STALLED: 20, CRASH: 20},
)
"""How many calls of a thousand have which accident."""

SHARES = {
    "put": 10,
    "replace": 4,
    "drop": 3,
    "commit": 4,
    "commit-filled": 2,
    "erase": 3,
    "go-on": 1,
    "read": 2,
    "aggregate": 2,
    "compare": 1,
    "make": 2,
    "remake": 1,
    "put-dataset": 3,
    "read-dataset": 2,
    "drop-dataset": 2,
    "delete": 1,
    "create": 1,
}
"""How likely each kind of request is, as shares."""


@dataclass(frozen=True)
class Wish:
    """What a client wants."""

    kind: str
    number: int = 0
    client: str = ""
    seed: int = 0
    gateway: int = 0
    """Which gateway is asked first."""
    attempts: int = 1
    """How often it is asked for, at most, when an answer stays away."""

    def __str__(self) -> str:
        what = {
            "put": f"{self.client}={self.seed} in {self.number}",
            "replace": f"{self.client}={self.seed} in {self.number}",
            "drop": f"{self.client} in {self.number}",
            "erase": self.client,
            "put-dataset": f"{self.seed}",
        }
        in_round = self.kind in (
            "commit",
            "commit-filled",
            "read",
            "aggregate",
            "compare",
            "make",
            "remake",
            "make-early",
        )
        words = [self.kind, what.get(self.kind, f"{self.number}" if in_round else ""), f"by gateway {self.gateway}"]
        words += [f"(at most {self.attempts} times)"] if self.attempts > 1 else []
        return " ".join(filter(None, words))


Wishes = Sequence[Wish]

NOTHING: Wishes = ()
ADA = (Wish("put", 0, "ada", 1),)
BOB = (Wish("put", 0, "bob", 2),)
BOTH = (*ADA, *BOB)
COMMITTED = (*BOTH, Wish("commit", 0))
MADE = (*BOTH, Wish("make", 0))
TRAINED = (*MADE, Wish("commit", 0), Wish("put", 1, "ada", 1))
NEXT = (*COMMITTED, Wish("put", 1, "ada", 1))
DELETED = (*ADA, Wish("put-dataset", seed=1), Wish("delete"))
STORED = (Wish("put-dataset", seed=1),)


@dataclass(frozen=True)
class Theme:
    """Kinds of requests that have something to do with each other, and beginnings at which they have."""

    kinds: Sequence[str]
    """The more often one is named, the likelier it is."""
    beginnings: Sequence[Wishes]
    troubles: Sequence[Mapping[str, int]] = TROUBLES


ALL = Theme(
    [kind for kind, share in SHARES.items() for _ in range(share)],
    (NOTHING, ADA, BOB, BOTH, COMMITTED, NEXT, DELETED, STORED),
)
THEMES: Mapping[str, Theme] = {
    "uploads": Theme(("put", "put", "commit"), (NOTHING, ADA, BOB, BOTH)),
    "empty rounds": Theme(("put", "commit-filled", "drop"), (NOTHING, ADA, BOTH)),
    "replacements": Theme(("replace", "replace", "commit", "put"), (ADA, BOTH)),
    "withdrawals": Theme(("drop", "drop", "commit", "replace", "put"), (ADA, BOTH)),
    "erasures": Theme(("erase", "erase", "commit", "commit", "go-on"), (BOTH, NEXT)),
    "uploads and erasures": Theme(("put", "replace", "drop", "erase", "commit"), (ADA, BOTH, NEXT)),
    "erasures and answers": Theme(("erase", "erase", "read", "aggregate", "compare", "put"), (COMMITTED, NEXT)),
    "aggregates": Theme(("make", "make", "remake", "put", "replace", "commit", "aggregate"), (ADA, BOTH, MADE)),
    "aggregates and erasures": Theme(("make", "remake", "erase", "put", "commit"), (BOTH, MADE, TRAINED)),
    "trainings": Theme(("make", "put", "commit", "compare", "aggregate"), (BOTH, MADE, TRAINED)),
    "lives": Theme(("put", "delete", "create", "create"), (NOTHING, ADA, DELETED)),
    "lives and rounds": Theme(("put", "commit", "erase", "delete", "create"), (ADA, COMMITTED, DELETED)),
    "files": Theme(("put-dataset", "put-dataset", "read-dataset", "drop-dataset"), (NOTHING, STORED)),
    "lives and files": Theme(("put-dataset", "aggregate", "delete", "create"), (STORED, COMMITTED, DELETED)),
    "commits that break off": Theme(("erase", "commit"), (ADA, BOTH), ({CRASH: 150}, {LOST: 150})),
    "readers that stall": Theme(("read", "read", "aggregate", "erase"), (COMMITTED,), ({LAST: 100},)),
    "uploads that come late": Theme(("put", "put", "erase"), (NOTHING, NEXT), ({LATE: 250},)),
    "early models": Theme(
        ("make-early", "make-early", "make", "put", "replace", "commit"),
        (ADA, BOTH),
        ({}, {LAST: 100}, {LAST: 250}, {CRASH: 40}),
    ),
    "all": ALL,
    "all of it": ALL,
}


@dataclass(frozen=True)
class Plan:
    """What is to be played."""

    before: Sequence[Wish]
    """What gateway 0 did in peace."""
    clients: Sequence[Sequence[Wish]]
    """What each client wants, one after the other."""
    refreshes: Sequence[float]
    """Of each gateway, seconds after which it looks at the store again."""
    clocks: int = 0
    """Seed of the gateways' clocks."""
    generation: str = GENERATIONS[0]
    """Of the job that there is at the beginning."""
    trouble: Mapping[str, int] = field(default_factory=dict)
    """How many calls of a thousand have which accident."""

    def __str__(self) -> str:
        gateways = ", ".join("never" if each == CACHED else f"after {each:g} s" for each in self.refreshes)
        lines = [f"  gateways that look again: {gateways}"]
        lines += [] if self.generation else ["  the job is one of version 0.1.0"]
        lines += [f"  before: {', '.join(map(str, self.before))}"] if self.before else []
        lines += [f"  client {index}: {', '.join(map(str, each))}" for index, each in enumerate(self.clients) if each]
        return "\n".join(lines)

    @property
    def size(self) -> int:
        return len(self.before) + sum(map(len, self.clients))


def make_plan(chance: Random, theme: str | None = None) -> Plan:
    """Return a plan with a theme."""
    chosen = THEMES[theme or chance.choice(list(THEMES))]
    refreshes = [chance.choice((0.0, 0.5, CACHED)) for _ in range(chance.randint(1, 3))]
    names = CLIENTS[: chance.choice((1, 1, 1, 2, 2, 3))]
    rounds = ROUNDS[: chance.choice((1, 1, 1, 2))]

    def wish() -> Wish:
        kind, client = chance.choice(chosen.kinds), chance.choice(names)
        seed = CLIENTS.index(client) + 1 + chance.choice((0, 0, 3))
        gateway = chance.randrange(len(refreshes))
        return Wish(kind, chance.choice(rounds), client, seed, gateway, chance.choice((1, 1, 2, 4)))

    clients = [[wish() for _ in range(chance.choice((1, 1, 1, 2, 2, 4)))] for _ in range(chance.randint(2, 4))]
    if chance.randrange(4) == 0:
        _burst(chance, clients, len(refreshes))
    before, clocks = chance.choice(chosen.beginnings), chance.randrange(1 << 30)
    generation, trouble = chance.choice(GENERATIONS), chance.choice(chosen.troubles)
    return Plan(before, clients, refreshes, clocks, generation, trouble)


def _burst(chance: Random, clients: list[list[Wish]], gateways: int) -> None:
    """Have all clients but the last begin with the same wish."""
    for wishes in clients[1:-1] or clients[1:]:
        wishes[0] = replace(clients[0][0], gateway=chance.randrange(gateways))
