"""Every view of the console and its address."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from flstore_core.client.async_client import AsyncFLStore
from services.console import links
from services.console.views import ask, caches, client, cost, job, overview, round  # noqa: A004 - the field's own word


@dataclass(frozen=True)
class View:
    """One view: where it is, what it is called, and what draws it."""

    path: str
    """Its address, with the names of what it is about in braces."""
    title: str
    """May name parameters of the path in braces."""
    show: Callable[[AsyncFLStore, Mapping[str, str]], Awaitable[None]]


VIEWS: Final = (
    View(links.OVERVIEW, "Overview", overview.show),
    View(links.ASK, "Ask", ask.show),
    View(links.CACHES, "Caches", caches.show),
    View(links.COST, "Cost", cost.show),
    View("/jobs/{job}", "{job}", job.show),
    View("/jobs/{job}/rounds/{round}", "{job}, round {round}", round.show),
    View("/jobs/{job}/clients/{client}", "{job}, client {client}", client.show),
)
NAVIGATION: Final = tuple(view for view in VIEWS if "{" not in view.path)
"""The views that belong to no job."""
