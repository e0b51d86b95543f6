"""The pictures of a round: who is accused and why, who is alike, who contributed, and where clients differ."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from flstore_core.client.async_client import AsyncFLStore
from flstore_core.client.results import Answer, Fields
from flstore_core.errors import FLStoreError, Unauthorized
from flstore_core.presentation.names import fitting
from flstore_core.presentation.words import counted
from flstore_core.records import Round
from services.console import links
from services.console.parts import likeness, tables
from services.console.parts.elements import block, heading, link, name_link, section, text
from services.console.parts.pictures import picture

METHODS = ("alignment", "leave-one-out", "shapley", "monte-carlo")
"""Those of `contribution`; the last one has standard errors."""
MOST_FOR_HISTORY = 300
"""Clients of a round up to which other rounds are evidence: forty matrices of a thousand clients take 300 MB."""
MOST_BARS = 40


async def draw_pictures(gateway: AsyncFLStore, job: str, record: Round, method: str) -> None:
    """Ask for what the pictures show, and draw them.

    Raises:
        FLStoreError: if the round's statistics cannot be had at all.
    """
    about: dict[str, Any] = {"round": record.number}
    history = {} if len(record.members) <= MOST_FOR_HISTORY else {"history": 1, "hindsight": 0}
    clients = [str(member.client) for member in record.members]
    verdicts = await _tried(gateway.run(job, "malicious-filter", **about, **history))
    accused = list(verdicts.result.malicious) if isinstance(verdicts, Answer) else []
    drawn = likeness.choose(clients, accused)
    chosen = about if len(drawn) == len(clients) else {**about, "clients": drawn}
    similar, clusters, contributions, norms = await asyncio.gather(
        gateway.run(job, "cosine-similarity", **chosen),
        _tried(gateway.run(job, "clustering", **chosen)),
        _tried(gateway.run(job, "contribution", method=method, **about)),
        _tried(gateway.norms(job, record.number) if record.committed else _nothing()),
    )
    names = fitting(clients)
    _draw_verdicts(job, record.number, verdicts)
    _draw_similarity(names, similar, clusters, accused, len(clients) - len(drawn))
    with block("div", "columns"):
        _draw_clusters(job, clusters)
        _draw_contributions(job, record.number, names, contributions, method)
    _draw_norms(names, norms, drawn)


async def _tried(asked: Awaitable[Answer | Fields]) -> Answer | Fields | FLStoreError:
    """Return an answer, or why there is none: that a round is too small for one question does not keep the others."""
    try:
        return await asked
    except Unauthorized:
        raise
    except FLStoreError as error:
        return error


async def _nothing() -> Fields:
    return Fields({"clients": [], "tensors": [], "norms": [], "left_out": 0})


def _draw_verdicts(job: str, number: int, answer: Answer | Fields | FLStoreError) -> None:
    with section("Verdicts"):
        if not isinstance(answer, Answer):
            _say(answer)
            return
        verdicts = answer.result.raw["verdicts"]
        text(likeness.say_verdicts(number, verdicts), "p", "finding")
        accused = [verdict for verdict in verdicts if verdict["malicious"]]
        if accused:
            with block("ul", "verdicts"):
                for verdict in accused:
                    with block("li"):
                        name_link(verdict["client"], links.client(job, verdict["client"]))
                        text(f" {'; '.join(verdict['reasons'])}.")
        rows = [_evidence(job, verdict) for verdict in sorted(verdicts, key=lambda each: not each["malicious"])]
        columns = [
            "client",
            "accused",
            "length",
            "length score",
            "alignment",
            "Krum score",
            "opposition",
            "resemblance",
        ]
        tables.table(columns, rows, label="evidence on each client", page=10)
        text(
            "Scores are robust standard deviations from what is usual. Opposition is the log odds, over all rounds "
            "looked at, that a client sends the opposite of what it learned.",
            "p",
            "note",
        )
        link("Ask with other thresholds", links.ask(job=job, workload="malicious-filter", round=number))


def _evidence(job: str, verdict: Mapping[str, Any]) -> list[tables.Cell]:
    figures = ("norm", "norm_score", "alignment", "krum_score", "opposition", "resemblance")
    client = tables.Link(verdict["client"], links.client(job, verdict["client"]))
    return [client, "accused" if verdict["malicious"] else "", *(verdict[name] for name in figures)]


def _draw_similarity(
    names: Mapping[str, str],
    answer: Answer,
    clusters: Answer | Fields | FLStoreError,
    accused: Sequence[str],
    left_out: int,
) -> None:
    similar = answer.result.raw
    labels_by_client = clusters.result.raw["labels"] if isinstance(clusters, Answer) else {}
    labels = [labels_by_client.get(client, -1) for client in similar["clients"]]
    shown = [names.get(client, client) for client in similar["clients"]]
    note = (
        f"{left_out:,} more clients are not drawn: whoever is accused is, and a sample of the others."
        if left_out
        else ""
    )
    with block("div", "columns"):
        with section("Similarity", f"Cosine similarity of each two updates, clusters side by side. {note}"):
            options = likeness.similarity_map(shown, similar["matrix"], labels)
            picture(options, f"similarity of {len(shown)} clients, from -1, opposite, to 1, the same direction", 460)
        with section("Map", "Clients whose updates differ little lie near each other."):
            options, stress = likeness.plane(shown, similar, labels, accused)
            picture(options, f"map of {len(shown)} clients; {_say_accused(accused)}", 420)
            text(f"Stress {stress:.2f}: {_say_stress(stress)} (classical scaling, Torgerson 1952).", "p", "note")


def _say_stress(stress: float) -> str:
    if stress < 0.1:
        return "the distances are nearly all kept"
    return "distances are kept roughly" if stress < 0.3 else "two dimensions show only part of the differences"


def _say_accused(accused: Sequence[str]) -> str:
    return f"{counted(len(accused), 'client')} accused" if accused else "nobody is accused"


def _draw_clusters(job: str, answer: Answer | Fields | FLStoreError) -> None:
    with section("Clusters"):
        if not isinstance(answer, Answer):
            _say(answer)
            return
        clusters = answer.result.raw["clusters"]
        found = counted(len(clusters), "group") if len(clusters) > 1 else "One group: nobody stands apart"
        text(f"{found}. Mean silhouette {answer.result.silhouette:.2f}.", "p", "finding")
        for number, cluster in enumerate(clusters, 1):
            heading(f"Cluster {number}: {counted(len(cluster['clients']), 'client')}", 3)
            with block("p", "names"):
                for client in cluster["clients"][:MOST_BARS]:
                    name_link(client, links.client(job, client))
                if (more := len(cluster["clients"]) - MOST_BARS) > 0:
                    text(f"and {more:,} more", "span", "note")


def _draw_contributions(
    job: str, number: int, names: Mapping[str, str], answer: Answer | Fields | FLStoreError, method: str
) -> None:
    with section("Contributions", "How far each client moved the round in the direction that it took."):
        with block("p", "choices"):
            for each in METHODS:
                chosen = link(each, links.with_query(links.round_(job, number), {"contribution": each}))
                if each == method:
                    chosen.props["aria-current"] = "true"
        if not isinstance(answer, Answer):
            _say(answer)
            return
        rows = answer.result.raw["contributions"]
        drawn = rows[:MOST_BARS]
        options = likeness.contributions([names.get(row["client"], row["client"]) for row in drawn], drawn)
        picture(
            options, f"contributions of {len(drawn)} clients; the greatest is {rows[0]['client']}" if rows else "", 260
        )
        cells = [
            [tables.Link(row["client"], links.client(job, row["client"])), row["value"], row["standard_error"]]
            for row in rows
        ]
        tables.table(["client", "contribution", "standard error"], cells, label="contributions", page=5)


def _draw_norms(names: Mapping[str, str], answer: Answer | Fields | FLStoreError, drawn: Sequence[str]) -> None:
    if not isinstance(answer, Fields) or not answer.raw["clients"]:
        return
    norms = answer.raw
    rows = [place for place, client in enumerate(norms["clients"]) if client in set(drawn)]
    shown = [names.get(norms["clients"][place], norms["clients"][place]) for place in rows]
    left_out = f" {norms['left_out']:,} tensors with shorter deltas are not drawn." if norms["left_out"] else ""
    with section(
        "Norms by layer",
        f"Where in the model clients differ: each delta's length beside the median client's.{left_out}",
    ):
        options = likeness.norms_map(shown, norms["tensors"], [norms["norms"][place] for place in rows])
        picture(
            options, f"norms of {len(shown)} clients in {len(norms['tensors'])} tensors", 160 + 16 * min(len(shown), 30)
        )


def _say(answer: object) -> None:
    text(answer.detail if isinstance(answer, FLStoreError) else "There is no answer.", "p", "note")
