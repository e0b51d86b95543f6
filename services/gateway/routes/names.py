"""Answers that show clients and jobs by the names that they were given, not by those under which the store keeps them.

`flstore_core.ids.encode` makes `x--Hospital_20A` of `Hospital A`. Answers of workloads hold clients' names anywhere: in
lists, as keys, in names of models such as `3:x--Hospital_20A`. So the finished JSON is looked through. Where no name is
encoded, that is one search for three bytes.
"""

import json
import re
from typing import Any

from starlette.responses import JSONResponse

from flstore_core.ids import ENCODED, decode

_MARK = ENCODED.encode()
_NAME = re.compile(rb'"((?:[0-9]+:)?)(x--[A-Za-z0-9._-]+)"')


def show(document: bytes) -> bytes:
    """Return JSON with the names that clients and jobs were given."""
    return _NAME.sub(_decoded, document) if _MARK in document else document


class NamedResponse(JSONResponse):
    """JSON with the names that clients and jobs were given."""

    def render(self, content: Any) -> bytes:
        return show(super().render(content))


def _decoded(found: re.Match[bytes]) -> bytes:
    return json.dumps(found[1].decode() + decode(found[2].decode()), ensure_ascii=False).encode()
