"""What is generated in docs/frameworks.md, between marks, and the plots beside it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from loadgen.run.plot import Axis, plot
from tests.frameworks import accuracy, memory, overhead
from tests.frameworks.accuracy import ATTACKS, Case, Learned
from tests.frameworks.memory import Peaks
from tests.frameworks.overhead import Overhead
from tests.frameworks.plan import Plan
from tests.frameworks.quickstart import Recorded
from tests.truth.page import markdown

CLOSE = 0.02
"""Accuracies that differ by no more count as reached."""
HIGHEST_RATIO = 1.10


@dataclass(frozen=True)
class Study:
    """All that was measured of one framework."""

    name: str
    version: str
    how: str
    recorded: Recorded
    learned: Mapping[Case, Learned]
    overheads: Mapping[float, Overhead]
    """By mean seconds of training."""
    peaks: Peaks

    def finals(self, attack: str, advice: str) -> list[float]:
        """Return accuracies at the end, one for each seed."""
        return [
            learned.outcome.accuracy[-1]
            for case, learned in self.learned.items()
            if (case.attack, case.advice) == (attack, advice)
        ]

    def total(self, count: str, attack: str) -> int:
        """Return a count of `Learned` over the trainings with an attack whose advice was followed."""
        return sum(
            getattr(learned, count)
            for case, learned in self.learned.items()
            if case.attack == attack and case.advice == "exclude"
        )


def section(studies: Sequence[Study], machine: str) -> str:
    """Return the measured section as Markdown."""
    parts = [
        machine,
        "### What was recorded",
        _recorded(studies),
        "### Accuracy with attackers",
        _about_accuracy(),
        *(f"![Accuracy over rounds]({image(study)})" for study in studies),
        _accuracies(studies),
        "### Time per round",
        _about_overhead(),
        _overheads(studies),
        "### The server's memory",
        _about_memory(),
        _memories(studies),
        "### What did not come out as hoped",
        "\n".join(f"- {each}" for study in studies for each in shortfalls(study)) or "Everything above did.",
    ]
    return "\n\n".join(parts)


def image(study: Study) -> str:
    """Return the plot's path, from the page."""
    return f"images/frameworks-{study.name.lower()}.svg"


def plotted(study: Study) -> str:
    """Return accuracy over rounds as SVG: means over seeds."""
    by_name: dict[str, list[Sequence[float]]] = {}
    for case, learned in study.learned.items():
        by_name.setdefault(case.name, []).append(learned.outcome.accuracy)
    curves = {
        name: [(float(number), mean(values)) for number, values in enumerate(zip(*each, strict=True))]
        for name, each in by_name.items()
    }
    rounds = [number for curve in curves.values() for number, _ in curve]
    title = f"{study.name}: accuracy over rounds"
    return plot(title, curves, Axis.over("round", rounds), Axis("accuracy on held-out digits", 0.0, 1.0))


def shortfalls(study: Study) -> Iterator[str]:
    """Yield what was not reached, in words."""
    for attack in ("", *ATTACKS):
        yield from (f"{study.name}: with {_attackers(attack)}, {each}." for each in _of_advice(study, attack))
    for training_s, measured in study.overheads.items():
        if measured.ratio > HIGHEST_RATIO:
            yield (
                f"{study.name}: rounds {_training(training_s)} take {measured.ratio:.2f} times as long with FLStore; "
                f"{HIGHEST_RATIO:.2f} were hoped for."
            )
    for way, peaks in study.peaks.items():
        if untried := [str(clients) for clients, peak in peaks.items() if peak is None]:
            yield f"{study.name}, {way}: {' and '.join(untried)} clients would take more memory than this machine has."
    if not study.overheads:
        yield f"{study.name}: time per round and the server's memory are not measured."


def _of_advice(study: Study, attack: str) -> Iterator[str]:
    lower = mean(study.finals("", "")) - mean(study.finals(attack, "exclude"))
    if lower > CLOSE:
        yield f"accuracy ends {100 * lower:.1f} points lower in spite of advice"
    if blamed := study.total("excluded", attack):
        yield f"honest updates were left out {blamed} times"
    if missed := study.total("missed", attack):
        yield f"updates of attackers counted {missed} times"
    if late := study.total("unadvised", attack):
        yield f"{late} rounds had no advice"


def _recorded(studies: Sequence[Study]) -> str:
    columns = ["framework", "run with", "lines changed", "rounds", "updates", "bytes"]
    rows = [
        [
            f"{study.name} {study.version}",
            study.how,
            str(study.recorded.changed_lines),
            str(study.recorded.rounds),
            str(study.recorded.updates),
            f"{study.recorded.nbytes:,}",
        ]
        for study in studies
    ]
    return markdown(columns, rows)


def _about_accuracy() -> str:
    plan = Plan()
    return (
        f"{plan.clients} clients learn scikit-learn's digits for {plan.rounds} rounds, dealt out by a Dirichlet "
        f"distribution with α = {plan.alpha:g}, and all take part in each round. {accuracy.ATTACKERS} of them send "
        f"their delta with the sign flipped, or noise {accuracy.NOISE:g} times as long. Advice is of "
        "`malicious-filter`, which is not told who attacks. Means over seeds: "
        f"{', '.join(map(str, accuracy.SEEDS))}."
    )


def _accuracies(studies: Sequence[Study]) -> str:
    columns = [
        "framework",
        "attackers",
        "accuracy, no advice",
        "advice followed",
        "honest left out",
        "attackers counted",
    ]
    rows = [
        [
            study.name,
            attack or "none",
            _percent(study.finals(attack, "")),
            _percent(study.finals(attack, "exclude")),
            str(study.total("excluded", attack)),
            str(study.total("missed", attack)),
        ]
        for study in studies
        for attack in ("", *ATTACKS)
    ]
    return markdown(columns, rows)


def _about_overhead() -> str:
    return (
        f"Ten clients of ResNet18's size, {memory.MODEL_BYTES / 1e6:.1f} MB each way; medians of "
        f"{overhead.ROUNDS - overhead.WARM_UP} rounds. Everything runs on this machine's cores: server, clients, "
        "FLStore with its shards and store. Clients make a random step instead of training. Where they train, they do "
        f"nothing for half to one and a half times {overhead.TRAINING_S:g} s before, as if on machines of their own; "
        "messages alone are the worst case, since nothing is left to overlap with."
    )


def _overheads(studies: Sequence[Study]) -> str:
    columns = ["framework", "a round", "without FLStore", "with FLStore", "ratio"]
    rows = [
        [study.name, _training(training_s), f"{each.without_s:.2f} s", f"{each.with_s:.2f} s", f"{each.ratio:.2f}"]
        for study in studies
        for training_s, each in study.overheads.items()
    ]
    return markdown(columns, rows)


def _about_memory() -> str:
    return (
        "The most memory that the process of the server's strategy had in one round, clients in a process of their "
        "own. By value, as frameworks do it, it holds every update until it averages them."
    )


def _memories(studies: Sequence[Study]) -> str:
    columns = ["framework", "models go", *(f"{clients} clients" for clients in memory.CLIENTS), "for each client"]
    rows = [
        [study.name, _way(way), *(_megabytes(peaks[clients]) for clients in memory.CLIENTS), _megabytes(each)]
        for study in studies
        for way, peaks in study.peaks.items()
        for each in [memory.per_client(peaks)]
    ]
    return markdown(columns, rows)


def _way(way: str) -> str:
    return way if way == memory.WITHOUT else f"by {way}, with FLStore"


def _training(training_s: float) -> str:
    return f"with training for {training_s:g} s" if training_s else "of messages alone"


def _attackers(attack: str) -> str:
    return f"{accuracy.ATTACKERS} {attack} attackers" if attack else "no attackers"


def _percent(shares: Sequence[float]) -> str:
    return f"{100 * mean(shares):.1f} %"


def _megabytes(nbytes: float | None) -> str:
    return "–" if nbytes is None else f"{nbytes / 1e6:,.1f} MB"
