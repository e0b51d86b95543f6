"""The view `round`."""

from collections.abc import Mapping

from flstore_core.client.async_client import AsyncFLStore
from services.console.parts import states


async def show(gateway: AsyncFLStore, parameters: Mapping[str, str]) -> None:
    """Draw the view."""
    states.empty("Nothing here yet", "This view is being made.")
