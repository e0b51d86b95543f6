"""Pages as a browser gets them."""

import pytest

from services.console.pages import VIEWS, View
from tests.console.browsing import browsing


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.title)
async def test_every_view_has_an_address_of_its_own(view: View) -> None:
    async with browsing() as user:
        await user.open(view.path.format(job="mnist", round=3, client="c0"))
        await user.should_see("FLStore")


async def test_a_console_without_a_gateway_is_healthy() -> None:
    async with browsing() as user:
        assert (await user.http_client.get("/healthz")).status_code == 200
