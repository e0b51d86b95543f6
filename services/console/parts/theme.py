"""Light or dark: what the viewer chose or, before that, what the viewer's system says.

The choice is a cookie, because a page is made on the server, charts included. A first page of a browser that wants dark
says so by the script below, once.
"""

from typing import Final

from nicegui import ui
from starlette.requests import Request

COOKIE: Final = "flstore_theme"
LIGHT, DARK = "light", "dark"
FIRST_LOOK: Final = f"""<script>
if (!document.cookie.includes("{COOKIE}=")) {{
  const wanted = matchMedia("(prefers-color-scheme: dark)").matches ? "{DARK}" : "{LIGHT}";
  document.cookie = "{COOKIE}=" + wanted + ";path=/;samesite=lax;max-age=31536000";
  if (wanted === "{DARK}" && document.cookie.includes("{COOKIE}=")) location.reload();
}}
</script>"""

GROUND: Final = {
    False: "<style>html { background: #ffffff; color-scheme: light }</style>",
    True: "<style>html { background: #0d1117; color-scheme: dark }</style>",
}
"""What is on the screen before the page's own style is there: no white flash in the dark."""


def is_dark(request: Request | None = None) -> bool:
    """Return whether a page is dark; by default the page that is being drawn."""
    return (request or ui.context.client.request).cookies.get(COOKIE) == DARK
