"""What is drawn where a view cannot be: it loads, there is nothing yet, or something is wrong. Each says what to do."""

from nicegui import ui

from flstore_core.errors import FLStoreError, Forbidden, NotFound, Unavailable
from services.console import links
from services.console.parts.controls import press
from services.console.parts.elements import block, link, text


def loading() -> ui.element:
    with block("div", "state").props("role=status") as state:
        text("Waiting for the gateway …", "p")
    return state


def empty(title: str, to_do: str) -> None:
    """Draw that there is nothing to show yet, and what has to happen for that."""
    with block("div", "state"):
        text(title, "p", "state-title")
        text(to_do, "p")


def trouble(error: FLStoreError) -> None:
    """Draw why a view cannot be shown, and a way on."""
    title, to_do = _advice(error)
    with block("div", "state state-trouble").props("role=alert"):
        text(title, "p", "state-title")
        text(error.detail, "p")
        text(to_do, "p", "note")
        with block("p", "choices"):
            press("Try again", ui.navigate.reload)
            link("Overview", links.OVERVIEW)


def defect(request_id: str) -> None:
    """Draw that the console itself failed."""
    with block("div", "state state-trouble").props("role=alert"):
        text("The console could not draw this", "p", "state-title")
        text(f"That is a defect of the console. Its log has it under this request_id: {request_id}", "p")
        with block("p", "choices"):
            link("Overview", links.OVERVIEW)


def _advice(error: FLStoreError) -> tuple[str, str]:
    match error:
        case NotFound():
            return "This is not there (any more)", "It may have been deleted meanwhile. The overview has what there is."
        case Forbidden():
            return "Your token does not allow this", "Ask whoever gave you the token, or log in with another one."
        case _ if isinstance(error, Unavailable) or error.retryable:
            return "The gateway does not answer", "It may be starting again, or busy. What is stored is safe."
    return error.title, "The message says what would be right."
