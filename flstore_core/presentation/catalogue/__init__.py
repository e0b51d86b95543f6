"""A view for each built-in workload, by its name: what its answer comes to in words, and what of it matters most.

The files are by the kind of question. A finding is one sentence that names those whom the answer is about.
"""

from collections.abc import Mapping

from flstore_core.presentation.base import View
from flstore_core.presentation.catalogue import choices, likeness, merits, models, suspicions, training

VIEWS: Mapping[str, View] = {
    **choices.VIEWS,
    **likeness.VIEWS,
    **merits.VIEWS,
    **models.VIEWS,
    **suspicions.VIEWS,
    **training.VIEWS,
}
