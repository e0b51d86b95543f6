"""An update's file, handed on from the gateway part by part with the viewer's own token: nothing is kept here."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from flstore_core.client import paths
from flstore_core.client.async_client import AsyncFLStore
from flstore_core.client.parts import PART
from flstore_core.client.results import FileRange
from flstore_core.ids import decode
from services.console.links import round_number
from services.console.state import State

ADDRESS = "/jobs/{job}/rounds/{round}/clients/{client}/file"


def add_downloads(app: FastAPI, state: State) -> None:
    """Add the address of files to the console's application."""
    app.add_api_route(ADDRESS, partial(_send, state), response_class=Response, name="download")


async def _send(state: State, request: Request) -> Response:
    """Send the file; errors of the gateway are answered as they are."""
    names: dict[str, Any] = request.path_params
    number = round_number(names["round"])
    path = paths.update(decode(names["job"]), number, decode(names["client"]))
    gateway = state.sessions.viewer(request)
    first = await gateway.download_range(path, 0, PART)
    name = f"{names['job']}-{number}-{names['client']}.safetensors"
    headers = {
        "Content-Length": str(first.nbytes),
        "Content-Disposition": f'attachment; filename="{name}"',
        "ETag": f'"{first.sha256}"',
        "X-Content-Type-Options": "nosniff",
    }
    return StreamingResponse(_parts(gateway, path, first), headers=headers, media_type="application/octet-stream")


async def _parts(gateway: AsyncFLStore, path: str, first: FileRange) -> AsyncIterator[bytes]:
    yield bytes(first.body)
    at = len(first.body)
    while at < first.nbytes:
        part = await gateway.download_range(path, at, min(at + PART, first.nbytes))
        yield bytes(part.body)
        at += len(part.body)
