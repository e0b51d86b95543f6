"""Overviews of a job's metadata, as much as a screen can show: spreads by round, the map of participations, series.

Here belongs how numbers of committed rounds are kept in little room (`numbers`), and what is drawn of them. Nothing
here reads a store. The table of all values, for analyses, is `flstore_core.tables`.
"""

from flstore_core.overviews.client_series import series
from flstore_core.overviews.layer_norms import layers
from flstore_core.overviews.numbers import RoundNumbers, names_of
from flstore_core.overviews.participations import participation
from flstore_core.overviews.round_spreads import spreads

__all__ = ["RoundNumbers", "layers", "names_of", "participation", "series", "spreads"]
