"""Arguments of components that an exported job can hold: numbers, texts, lists and mappings.

NVFlare writes the attributes that are named like arguments of a component's constructor into the job, in plain text,
and constructs the component on the server from them. So they are kept as they are written, and never a token.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flstore_core.client import FLStore
from flstore_core.errors import InvalidParameters
from flstore_core.integrations.recorder import Adviser, Limits, Mode, Recorder, Tracker
from flstore_core.integrations.reference import ByReference

TOKEN = "FLSTORE_TOKEN"  # noqa: S105  (the variable's name)
"""The variable of the server's environment that has the token."""


class Configured:
    """A component with the arguments of a recorder, as attributes of plain values."""

    def configure(
        self,
        url: str,
        job: str,
        *,
        resume: bool,
        advice: str | None,
        advisers: Sequence[Adviser],
        required: bool,
        tracker: Tracker | None,
        limits: Limits | Mapping[str, Any] | None,
        settings: Mapping[str, Any] | None,
    ) -> None:
        """Keep the arguments.

        Raises:
            InvalidParameters: if one is wrong, cannot be written into a job, or would publish a secret.
        """
        self.url = _public(url)
        self.job = job
        self.resume = resume
        self.advice = None if advice is None else Mode(advice).value
        self.advisers = tuple(each if isinstance(each, str) else _place_of(each) for each in advisers)
        self.required = required
        self.tracker = tracker
        self.limits = _plain(limits)
        self.settings = dict(settings) if settings else None
        self.open_recorder(is_delta=False)  # names and options are checked before training starts
        _keep_own_code_out_of_jobs()

    def connect(self) -> FLStore:
        """Return a client with the server's token."""
        return FLStore(self.url, os.environ.get(TOKEN))

    def open_recorder(self, is_delta: bool) -> Recorder:
        """Return a recorder of models or of differences."""
        limits = dict(self.limits or {})
        if "spool" in limits:
            limits["spool"] = Path(limits["spool"])
        settings = {"updates": "delta" if is_delta else "weights", **(self.settings or {})}
        return Recorder(
            self.connect(),
            self.job,
            resume=self.resume,
            advice=None if self.advice is None else Mode(self.advice),
            advisers=[_adviser(each) for each in self.advisers],
            required=self.required,
            tracker=self.tracker,
            limits=Limits(**limits),
            **settings,
        )


def plain_transport(transport: str | ByReference | Mapping[str, Any], advice: str | None) -> str | dict[str, Any]:
    """Return a transport as a job can hold it: `value`, or the options of one by reference."""
    options = options_of(transport)
    if options is None:
        return "value"
    if advice == Mode.WEIGH:
        options.require_weights()
    return asdict(options)


def options_of(transport: str | ByReference | Mapping[str, Any]) -> ByReference | None:
    """Return how a training goes by reference; None if it goes by value."""
    if isinstance(transport, ByReference):
        return transport
    if isinstance(transport, Mapping):
        return ByReference(**transport)
    if transport not in ("value", "reference"):
        raise InvalidParameters(f"transport is {transport!r}; use 'value', 'reference' or a ByReference")
    return ByReference() if transport == "reference" else None


def _public(url: str) -> str:
    if "@" in urlsplit(url).netloc:
        raise InvalidParameters(f"the URL has a password, which a job would publish; set {TOKEN} on the server instead")
    return url


def _plain(limits: Limits | Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return limits by name, those that are not the default."""
    given = asdict(limits) if isinstance(limits, Limits) else dict(limits or {})
    if unknown := given.keys() - asdict(Limits()).keys():
        raise InvalidParameters(f"limits has {sorted(unknown)}; it may have {sorted(asdict(Limits()))}")
    changed = {name: value for name, value in given.items() if value != getattr(Limits(), name)}
    return {name: str(value) if isinstance(value, Path) else value for name, value in changed.items()} or None


def _place_of(function: Any) -> str:
    """Return where the server can import a function from, as `module:function`."""
    module, name = getattr(function, "__module__", ""), getattr(function, "__name__", "")
    if module == "__main__" or getattr(sys.modules.get(module), name, None) is not function:
        raise InvalidParameters(
            f"the adviser {name or function!r} cannot be written into a job; define it in a module that the server has"
        )
    return f"{module}:{name}"


def _adviser(adviser: str) -> Adviser:
    """Return an adviser by its name: a workload, or a function that is imported from `module:function`."""
    module, separator, name = adviser.partition(":")
    if not separator:
        return adviser
    try:
        function: Adviser = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise InvalidParameters(f"the adviser {adviser!r} cannot be imported: {error}") from error
    return function


def _keep_own_code_out_of_jobs() -> None:
    """Have exported jobs name FLStore's classes, and not hold copies of their modules.

    NVFlare copies the code of components into a job unless it is NVFlare's own. The server has FLStore installed, and a
    copy of some of its modules would stand in the way of the whole.
    """
    packages = import_module("nvflare.private.fed.app.fl_conf").FL_PACKAGES
    if "flstore_core" not in packages:
        packages.append("flstore_core")
