"""The page that is being drawn."""

from nicegui import ui
from starlette.requests import Request


def prefix(request: Request | None = None) -> str:
    """Return the path below which a proxy has the console, empty for none; by default of the page that is drawn."""
    return str((request or ui.context.client.request).scope.get("root_path", ""))
