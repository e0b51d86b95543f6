"""An answer as it is shown: by the catalogue's view, by that of the workload's package, or by the general rule."""

import logging
from collections.abc import Iterator

from flstore_core.errors import FLStoreError
from flstore_core.presentation import general
from flstore_core.presentation.base import Answer, Presentation, Shown, View
from flstore_core.presentation.catalogue import VIEWS
from flstore_core.presentation.remarks import remarks_of
from flstore_core.workloads import registry

_log = logging.getLogger(__name__)


def present(workload: str, answer: Answer) -> Presentation:
    """Return how an answer of a workload is shown; names in it should be `tidy` already."""
    remarks, answer = remarks_of(answer)
    view = view_of(workload)
    if view is not None:
        try:
            return Presentation(view.finding(answer), list(_parts(view, answer)), remarks)
        except Exception as error:  # a view fits one version of an answer, and may be a user's; the answer is shown
            _log.warning("the view of %r does not fit its answer: %s: %s", workload, type(error).__name__, error)
    return Presentation(general.finding(answer), list(general.parts(answer)), remarks)


def view_of(workload: str) -> View | None:
    """Return the view of a workload; None if it has none, or is not installed here."""
    if workload in VIEWS:
        return VIEWS[workload]
    try:
        view: object = getattr(registry.get(workload), "view", None)
    except FLStoreError:
        return None
    return view if isinstance(view, View) else None


def _parts(view: View, answer: Answer) -> Iterator[Shown]:
    for part in view.parts:
        if (shown := part.of(answer)) is not None:
            yield shown
    covered = {*view.told, *(name for part in view.parts for name in part.covers)}
    yield from general.parts(answer, tuple(covered))
