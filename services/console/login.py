"""Logging in and out: the one place that a token comes through. It comes in a form's body, never in an address."""

from nicegui import ui
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from flstore_core.errors import FLStoreError, InvalidParameters, Unauthorized
from services.console import links
from services.console.parts import theme
from services.console.parts.elements import block, text
from services.console.parts.page import prefix
from services.console.session import hand_out, take_back
from services.console.shell import frame
from services.console.state import State

LONGEST_TOKEN = 4096
REFUSED = {
    "token": "The gateway does not accept this token. Check that all of it was copied.",
    "gateway": "The gateway does not answer, so the token could not be checked. Try again shortly.",
}
"""What is said of a login that failed, by its reason in the address."""
YEAR_S = 365 * 24 * 3600


def draw(state: State, request: Request) -> None:
    """Draw the form."""
    body = frame(state, request, "Log in")
    with body, block("form", "login part").props(f'method=post action="{prefix(request)}{links.LOGIN}"'):
        if refused := REFUSED.get(request.query_params.get("refused", "")):
            text(refused, "p", "bad").props("role=alert")
        text("The console asks the gateway with your own token, and shows what it allows.", "p", "note")
        text("Token", "label").props("for=token")
        ui.element("input").props(
            "id=token name=token type=password autocomplete=off required autofocus spellcheck=false"
        )
        to = ui.element("input").props("type=hidden name=to")
        to.props["value"] = links.within(request.query_params.get("to", links.OVERVIEW))
        text("Log in", "button", "primary").props("type=submit")


async def log_in(state: State, request: Request) -> Response:
    """Check a token by asking the gateway, keep it, and hand out the session's id."""
    form = await request.form(max_files=0, max_fields=4, max_part_size=LONGEST_TOKEN)
    to = links.within(str(form.get("to", links.OVERVIEW)))
    try:
        gateway = state.sessions.connect(str(form.get("token", "")))
        await gateway.jobs()
    except FLStoreError as error:
        reason = "token" if isinstance(error, Unauthorized | InvalidParameters) else "gateway"
        return see(request, links.with_query(links.LOGIN, {"refused": reason, "to": to}))
    state.sessions.end(request)
    response = see(request, to)
    hand_out(response, state.sessions.begin(gateway), path=cookie_path(request), secure=request.url.scheme == "https")
    return response


async def log_out(state: State, request: Request) -> Response:
    """Forget the token, end all of the session's pages, and take the cookie back."""
    state.sessions.end(request)
    response = see(request, links.LOGIN)
    take_back(response, path=cookie_path(request))
    return response


async def choose_theme(request: Request) -> Response:
    """Remember light or dark, and go back."""
    response = see(request, links.within(request.query_params.get("to", links.OVERVIEW)))
    chosen = theme.DARK if request.path_params["theme"] == theme.DARK else theme.LIGHT
    response.set_cookie(theme.COOKIE, chosen, max_age=YEAR_S, path=cookie_path(request), samesite="lax")
    return response


def see(request: Request, path: str) -> Response:
    """Lead a browser to another page of the console, whatever it has just sent."""
    return RedirectResponse(f"{prefix(request)}{path}", 303)


def cookie_path(request: Request) -> str:
    return prefix(request) or "/"
