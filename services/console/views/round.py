"""One round: who took part and when, who is alike, who is accused and why, who contributed.

Looking wakes nobody. Pictures of a committed round follow from its stored statistics. Those of an open round are asked
of the job's shards, at once if these are awake, and otherwise when the viewer says so. An open round fills while one
looks.
"""

import asyncio
from collections.abc import Mapping

from nicegui import ui

from flstore_core.client.async_client import AsyncFLStore
from flstore_core.client.results import JobInfo
from flstore_core.errors import FLStoreError, Unauthorized
from flstore_core.ids import decode
from flstore_core.presentation.words import counted, shown, spoken
from flstore_core.records import Round
from flstore_core.units import format_size
from services.console import links
from services.console.parts import likeness, live, numbers, states, tables
from services.console.parts.controls import press
from services.console.parts.elements import block, facts, link, section, text
from services.console.views.round_pictures import draw_pictures

AWAKE = "awake"


async def show(gateway: AsyncFLStore, parameters: Mapping[str, str]) -> None:
    """Draw the view."""
    job, number = decode(parameters["job"]), links.round_number(parameters["round"])
    record, info, rounds = await asyncio.gather(gateway.round(job, number), gateway.job(job), gateway.rounds(job))
    _neighbours(job, number, [each.round for each in rounds])
    await RoundView(gateway, job, info, record, parameters).draw()


def _neighbours(job: str, number: int, rounds: list[int]) -> None:
    earlier, later = [each for each in rounds if each < number], [each for each in rounds if each > number]
    with block("nav", "choices").props('aria-label="rounds"'):
        link("All rounds of the job", links.job(job))
        if earlier:
            link(f"← round {earlier[-1]}", links.round_(job, earlier[-1]))
        if later:
            link(f"round {later[0]} →", links.round_(job, later[0]))


class RoundView:
    """A round on the page, drawn anew as long as it is open."""

    def __init__(
        self, gateway: AsyncFLStore, job: str, info: JobInfo, record: Round, parameters: Mapping[str, str]
    ) -> None:
        self._gateway = gateway
        self._job = job
        self._info = info
        self._record = record
        self._method = parameters.get("contribution", "alignment")
        self._wanted = False
        """Whether the viewer said that shards may be woken."""

    async def draw(self) -> None:
        """Draw the round, and go on looking if it is open."""
        self._head = block("div")
        self._pictures = block("div")
        self._staging = block("div")
        self._staging.set_visibility(False)
        self._members = block("div")
        self._draw_record()
        await self._draw_pictures()
        if not self._record.committed:
            live.refresh(self._look)

    async def _look(self) -> bool:
        """Draw what has come since the last look; return whether the round is still open."""
        record = await self._gateway.round(self._job, self._record.number)
        if record == self._record:
            return True
        self._record = record
        self._draw_record()
        await self._draw_pictures()
        return not record.committed

    def _draw_record(self) -> None:
        self._head.clear()
        with self._head:
            self._draw_head()
        self._members.clear()
        with self._members:
            self._draw_members()

    def _draw_head(self) -> None:
        record = self._record
        expected = self._info.clients_per_round or 0
        with section("Committed" if record.committed else "Open: it fills while you look"):
            if not record.committed and expected:
                came = len(record.members)
                bar = block("progress").props(f"max={expected} value={min(came, expected)}")
                bar.props["aria-label"] = f"{came} of {expected} expected updates"
                text(f" {came:,} of {expected:,} expected updates are here.", "span", "arrived")
            facts(
                {
                    "clients": f"{len(record.members):,}",
                    "committed": numbers.instant(record.committed_at),
                    "base": "none" if record.base is None else f"aggregate of round {record.base}",
                    "aggregate": format_size(record.aggregate.nbytes) if record.aggregate else "none",
                    **{spoken(name): shown(value) for name, value in record.metrics.items()},
                    **{spoken(name): shown(value) for name, value in record.hyperparameters.items()},
                }
            )

    def _draw_members(self) -> None:
        members = self._record.members
        with section("Who took part", _say_late(self._record)):
            if not members:
                states.empty("Nobody has sent an update yet", "Updates appear here as they arrive.")
                return
            first = min(member.received_at for member in members)
            late = set(likeness.late({member.client: member.received_at for member in members}))
            names = sorted({name for member in members for name in member.metrics})[:6]
            rows = [
                [
                    tables.Link(member.client, links.client(self._job, member.client)),
                    tables.Figure(member.received_at - first, f"+ {numbers.seconds(member.received_at - first)}"),
                    "late" if member.client in late else "",
                    *(member.metrics.get(name) for name in names),
                    tables.Figure(member.nbytes, format_size(member.nbytes)),
                ]
                for member in members
            ]
            columns = ["client", "arrived", "late", *names, "size"]
            tables.table(columns, rows, label="updates of the round")

    async def _draw_pictures(self) -> None:
        if len(self._record.members) < 2:
            self._pictures.clear()
            return
        if not (self._record.committed or self._wanted or await self._are_shards_awake()):
            self._pictures.clear()
            with self._pictures, section("Who is alike, who stands out"):
                text("The shards of this job are at zero. An open round's statistics are with them.", "p")
                press("Wake them and ask", self._wake)
            return
        with self._staging:
            drawn = block("div")
        try:
            with drawn:
                await draw_pictures(self._gateway, self._job, self._record, self._method)
        except Unauthorized:
            raise
        except FLStoreError as error:
            drawn.clear()
            with drawn, section("Who is alike, who stands out"):
                text(error.detail, "p", "note")
        # What was drawn before stays until the new pictures are whole, so that nothing jumps.
        self._pictures.clear()
        drawn.move(self._pictures)

    async def _wake(self) -> None:
        self._wanted = True
        self._pictures.clear()
        with self._pictures:
            states.loading()
        try:
            await self._draw_pictures()
        except Unauthorized:
            ui.navigate.to(links.LOGIN)

    async def _are_shards_awake(self) -> bool:
        """Return whether every shard of the job runs. Asking wakes none."""
        if not self._info.placement:
            return False
        cache = await self._gateway.cache()
        states_ = {row["shard"]: row["state"] for row in cache.raw["shards"]}
        return all(states_.get(shard) == AWAKE for shard in self._info.placement["shards"])


def _say_late(record: Round) -> str:
    late = likeness.late({member.client: member.received_at for member in record.members})
    if not late:
        return "Nobody was late: no update came much after the others."
    return f"{counted(len(late), 'client')} came late, much after the others. The table has the times."
