"""What is generated in docs/frameworks.md, between marks, and the pictures beside it."""

from collections.abc import Iterable, Sequence

from loadgen.pictures.base import Axis, Picture
from tests.frameworks import accuracy, memory, overhead
from tests.frameworks.accuracy import ATTACKERS, ATTACKS, EVEN, SEED, SEEDS, UNEVEN, Case
from tests.frameworks.plan import Plan
from tests.frameworks.study import Study, alone, shortfalls
from tests.truth.page import markdown

NOTHING = "–"
"""Where nothing was measured."""


def section(studies: Sequence[Study], problems: Iterable[str], machine: str) -> str:
    """Return the measured section as Markdown.

    Args:
        problems: parts that failed, in words.
    """
    disappointing = [*problems, *(each for study in studies for each in shortfalls(study))]
    parts = [
        machine.strip(),
        "### What was recorded",
        _recorded(studies),
        "### Accuracy with attackers",
        _about_accuracy(),
        *(f"![Accuracy over rounds](images/{image(study)}.svg)" for study in studies),
        _accuracies(studies),
        "### What advice loses, and what missing data loses",
        _about_losses(),
        _losses(studies),
        "### Time per round",
        _about_overhead(),
        _overheads(studies),
        "### The server's memory",
        _about_memory(),
        _memories(studies),
        "### What did not come out as hoped",
        "\n".join(f"- {each}" for each in disappointing) or "Everything above did.",
    ]
    return "\n\n".join(parts)


def image(study: Study) -> str:
    """Return the name of the picture's file, without suffix."""
    return f"frameworks-{study.name.lower()}"


def pictured(study: Study) -> Picture:
    """Return accuracy over rounds, a curve for each training on even data."""
    curves = {
        case.name: [(float(number), value) for number, value in enumerate(study.learned[case].outcome.accuracy)]
        for case in accuracy.even_cases()
        if case in study.learned
    }
    across = Axis("round", low=0.0, high=float(Plan().rounds), whole=True)
    return Picture(f"{study.name}: accuracy over rounds", curves, across, Axis.share("accuracy on held-out digits"))


def _recorded(studies: Sequence[Study]) -> str:
    columns = ["framework", "run with", "lines changed", "rounds", "updates", "bytes"]
    rows = [
        [
            f"{study.name} {study.framework.version}",
            study.framework.how,
            str(study.recorded.changed_lines),
            str(study.recorded.rounds),
            str(study.recorded.updates),
            f"{study.recorded.nbytes:,}",
        ]
        for study in studies
        if study.recorded
    ]
    return f"Of the quick-start apps above, with the lines above in them:\n\n{markdown(columns, rows)}"


def _about_accuracy() -> str:
    plan = Plan()
    return (
        f"{plan.clients} clients learn scikit-learn's digits for {plan.rounds} rounds, dealt out by a Dirichlet "
        f"distribution with α = {EVEN:g}, and all take part in each round. {ATTACKERS} of them send "
        f"their delta with the sign flipped, or noise {accuracy.NOISE:g} times as long. Advice is of "
        f"`malicious-filter`, which is not told who attacks. *Honest clients alone* are the other "
        f"{plan.clients - ATTACKERS}: who leaves attackers out leaves their data out, so that advice can hardly reach "
        f"more than they do. One training each, with the seed {SEED}."
    )


def _accuracies(studies: Sequence[Study]) -> str:
    columns = ["framework", "attackers", "no advice", "advice followed", "honest left out", "attackers counted"]
    rows = [_with_attackers(study, attack) for study in studies for attack in ("", *ATTACKS)]
    rows += [
        [study.name, "none; honest clients alone", _percent(study.final(alone(SEED, EVEN))), *([NOTHING] * 3)]
        for study in studies
    ]
    return markdown(columns, sorted(rows, key=lambda row: [study.name for study in studies].index(row[0])))


def _with_attackers(study: Study, attack: str) -> list[str]:
    advised = study.learned.get(Case(attack, "exclude"))
    counts = [str(advised.excluded), str(advised.missed)] if advised else [NOTHING] * 2
    finals = [_percent(study.final(Case(attack, advice))) for advice in ("", "exclude")]
    return [study.name, attack or "none", *finals, *counts]


def _about_losses() -> str:
    return (
        f"The smaller α, the fewer kinds of digits a client has, and the more goes with {ATTACKERS} of them. With "
        f"α = {UNEVEN:g} and {ATTACKS[0]} attackers, advice followed; the framework's own strategy, with all clients "
        "in one process. What is below the honest clients alone is what advice loses; the rest is what missing data "
        "loses."
    )


def _losses(studies: Sequence[Study]) -> str:
    columns = ["framework", "seed", "no attackers", "honest alone", "with advice", "missing data loses", "advice loses"]
    columns += ["honest left out", "attackers counted"]
    rows = [
        _lost(study, seed) for study in studies for seed in SEEDS if any(case.alpha == UNEVEN for case in study.learned)
    ]
    return markdown(columns, rows)


def _lost(study: Study, seed: int) -> list[str]:
    trained = [Case(seed=seed, alpha=UNEVEN), alone(seed, UNEVEN), Case(ATTACKS[0], "exclude", seed, UNEVEN)]
    clean, honest, advised = (study.final(case) for case in trained)
    learned = study.learned.get(trained[2])
    counts = [str(learned.excluded), str(learned.missed)] if learned else [NOTHING] * 2
    losses = [_points(clean, honest), _points(honest, advised)]
    return [study.name, str(seed), *map(_percent, (clean, honest, advised)), *losses, *counts]


def _about_overhead() -> str:
    return (
        f"Ten clients of ResNet18's size, {memory.MODEL_BYTES / 1e6:.1f} MB each way; medians of the "
        f"{overhead.ROUNDS - overhead.WARM_UP} rounds after the first. Everything runs on this machine's cores: "
        "server, clients, FLStore with its shards and store. Clients make a random step instead of training. Where "
        f"they train, they do nothing for half to one and a half times {overhead.TRAINING_S:g} s before, as if on "
        "machines of their own; messages alone are the worst case, since nothing is left to overlap with."
    )


def _overheads(studies: Sequence[Study]) -> str:
    columns = ["framework", "a round", "without FLStore", "with FLStore", "ratio"]
    rows = [
        [
            study.name,
            overhead.words(training_s),
            f"{each.without_s:.2f} s",
            f"{each.with_s:.2f} s",
            f"{each.ratio:.2f}",
        ]
        for study in studies
        for training_s, each in study.overheads.items()
    ]
    return markdown(columns, rows)


def _about_memory() -> str:
    return (
        "The most memory that the server's process had in one round. In Flower, that is the process of the strategy, "
        "with all clients in a second one; by value, it holds every update until it averages them. In NVFlare, it is "
        "the simulator's, each site a process; by value, it adds updates up as they come."
    )


def _memories(studies: Sequence[Study]) -> str:
    columns = ["framework", "models go", *(f"{clients} clients" for clients in memory.CLIENTS), "for each client"]
    rows = [
        [
            study.name,
            memory.words(way),
            *(_megabytes(peaks.get(clients)) for clients in memory.CLIENTS),
            _megabytes(memory.per_client(peaks)),
        ]
        for study in studies
        for way, peaks in study.peaks.items()
    ]
    return markdown(columns, rows)


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:.1f} %"


def _points(more: float | None, less: float | None) -> str:
    return NOTHING if more is None or less is None else f"{100 * (more - less):.1f}"


def _megabytes(nbytes: float | None) -> str:
    return NOTHING if nbytes is None else f"{nbytes / 1e6:,.1f} MB"
