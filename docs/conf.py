"""The documentation site: `make docs` builds it from these pages, the docstrings and the gateway's OpenAPI document."""

import json
import re
import tempfile
from pathlib import Path

from sphinx.application import Sphinx

from flstore_core import __version__
from flstore_core.storage import open_store
from services.common.proof import Keys
from services.gateway.app import create_app
from services.gateway.settings import Settings
from services.gateway.state import create_state

HERE = Path(__file__).parent

project = "FLStore"
author = "the FLStore authors"
version = release = __version__
html_title = f"FLStore {__version__}"

extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinxcontrib.openapi",
]

html_theme = "furo"
myst_heading_anchors = 3

suppress_warnings = ["ref.python"]  # a field that is called `bytes` is not what an annotation means
highlight_language = "none"
default_role = "code"  # docstrings name things in single backticks
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True}
apidoc_modules = [
    {"path": "../flstore_core", "destination": "reference/api", "separate_modules": True, "module_first": True},
]


def write_openapi(_: Sphinx) -> None:
    """Write the gateway's OpenAPI document where the reference page reads it."""
    with tempfile.TemporaryDirectory() as folder:
        state = create_state(Settings.from_env({}), open_store(folder, {}), Keys())
        document = create_app(state).openapi()
        state.close()
    (HERE / "reference" / "openapi.json").write_text(json.dumps(document, indent=1))


def read_plainly(_: Sphinx, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Take a docstring for the plain text it is: an indented paragraph is shown as it stands, and a bar is a bar."""
    plain: list[str] = []
    verbatim = False
    for line, before in zip(lines, ["", *lines], strict=False):
        if line.strip():
            indented = line.startswith("    ")
            if indented and not before.strip() and not verbatim and not "".join(plain[-2:]).endswith("::"):
                plain += ["::", ""]
            verbatim = indented and (verbatim or not before.strip())
        plain.append(line if verbatim else re.sub(r"([|*]|(?<=\w)_(?!\w))", r"\\\1", line))
    lines[:] = plain


written: dict[str, list[str]] = {}
"""Docstrings of attributes as they stand in the source."""


def keep_attribute(_: Sphinx, what: str, name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Remember an attribute's docstring before napoleon reads the words before its first colon as a type."""
    if what in {"attribute", "data", "property"}:
        written[name] = lines.copy()


def restore_attribute(_: Sphinx, what: str, name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Put an attribute's docstring back after napoleon."""
    lines[:] = written.pop(name, lines)


def setup(app: Sphinx) -> None:
    """Have the OpenAPI document written before pages are read, and attributes described in their own words."""
    app.connect("builder-inited", write_openapi, priority=100)
    app.connect("autodoc-process-docstring", read_plainly, priority=50)
    app.connect("autodoc-process-docstring", keep_attribute, priority=100)
    app.connect("autodoc-process-docstring", restore_attribute, priority=900)
