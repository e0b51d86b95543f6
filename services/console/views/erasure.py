"""The erasure of a client: it is asked for twice, and its receipt is shown."""

from nicegui import ui

from flstore_core.client.async_client import AsyncFLStore
from flstore_core.client.results import Erasure
from flstore_core.errors import FLStoreError, Unauthorized
from flstore_core.presentation.words import counted, spans, spoken
from services.console import links
from services.console.parts.controls import line, press
from services.console.parts.elements import block, facts, heading, section, text


class Erasing:
    """A client's erasure on the page, step by step."""

    def __init__(self, gateway: AsyncFLStore, job: str, client: str) -> None:
        self._gateway = gateway
        self._job = job
        self._client = client
        self._typed = ""

    def draw(self) -> None:
        """Draw the first question."""
        with section(
            "Erase this client", "Removes what it sent to this job, from all rounds, and what was made of it."
        ):
            self._step = block("div").props("aria-live=polite")
            with self._step:
                press("Erase …", self._ask_again, "danger")

    def _ask_again(self) -> None:
        self._step.clear()
        with self._step:
            text("This cannot be undone. Aggregates stay as they are. To go on, type the client's name:", "p")
            text(self._client, "p", "name-to-type")
            line("client-name", "", self._type)
            self._button = press("Erase for good", self._erase, "danger")
            press("Keep the client", self._keep, "choice")

    def _type(self, words: str) -> None:
        self._typed = words

    def _keep(self) -> None:
        self._step.clear()
        with self._step:
            press("Erase …", self._ask_again, "danger")

    async def _erase(self) -> None:
        if self._typed.strip() != self._client:
            with self._step:
                text("That is not its name; nothing was erased.", "p", "bad").props("role=alert")
            return
        self._step.clear()
        with self._step:
            text("Erasing …", "p").props("role=status")
        try:
            receipt = await self._gateway.erase_client(self._job, self._client)
        except Unauthorized:
            ui.navigate.to(links.LOGIN)
        except FLStoreError as error:
            self._step.clear()
            with self._step, block("div", "state state-trouble").props("role=alert"):
                text(error.title, "p", "state-title")
                text(error.detail, "p")
        else:
            self._step.clear()
            with self._step:
                draw_receipt(receipt)


def draw_receipt(receipt: Erasure) -> None:
    """Draw what an erasure removed, and what by its nature remains."""
    rounds = f"rounds {spans(receipt.rounds)}" if receipt.rounds else "no round"
    text(f"{receipt.client} was erased from {rounds}.", "p", "finding").props("role=status")
    facts(
        {
            "objects deleted": f"{receipt.objects:,}",
            **{f"{spoken(name)} removed": f"{count:,}" for name, count in receipt.removed.items()},
            "audit record": receipt.tombstone,
        }
    )
    heading("What remains", 3)
    with block("ul"):
        for name, each in receipt.remains.items():
            words = counted(len(each), "entry", "entries") + f": {each}" if isinstance(each, list) else str(each)
            text(f"{spoken(name)}: {words}" if each else f"{spoken(name)}: none", "li")
