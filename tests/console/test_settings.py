"""Settings of the console, and what its `main` puts together from them."""

from typing import Any

import pytest
from nicegui import Client
from nicegui.testing.general import nicegui_reset_globals

from flstore_core.errors import InvalidParameters
from services.common import logs
from services.console import __main__ as module
from services.console.settings import Settings
from tests.console.browsing import browsing, sees


@pytest.mark.parametrize(
    "env",
    [
        {"FLSTORE_URL": "127.0.0.1:8080"},
        {"FLSTORE_CONSOLE_GRAFANA_URL": "javascript:alert(1)"},
        {"FLSTORE_CONSOLE_GRAFANA_URL": 'https://there/"><script>'},
        {"FLSTORE_CONSOLE_SESSION_SECONDS": "0"},
        {"FLSTORE_ROOT_PATH": "console"},
    ],
    ids=lambda env: next(iter(env)),
)
def test_what_cannot_work_is_refused_by_name(env: dict[str, str]) -> None:
    with pytest.raises(InvalidParameters, match=next(iter(env))):
        Settings.from_env(env)


def test_lines_to_copy_have_the_address_that_users_have() -> None:
    assert Settings("http://gateway:80").api_url == "http://gateway:80"
    assert Settings("http://gateway:80", public_url="https://fl.example.org").api_url == "https://fl.example.org"


async def test_grafana_is_linked_to_where_it_is_known() -> None:
    async with browsing(settings=Settings("http://127.0.0.1:9", grafana_url="https://grafana.example.org")) as user:
        await user.open("/")
        await sees(user, "Grafana")
    async with browsing() as user:
        await user.open("/")
        await user.should_not_see("Grafana")


def test_main_serves_a_console_that_takes_web_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[dict[str, Any]] = []
    monkeypatch.setenv("FLSTORE_URL", "http://gateway:80/")
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    monkeypatch.setattr(module, "run", lambda app, listen, **options: served.append({"app": app, **options}))
    with nicegui_reset_globals():
        module.main()
        Client.page_routes.clear()
    assert served[0]["web_sockets"]
    assert served[0]["app"].state.console.settings.gateway_url == "http://gateway:80"
