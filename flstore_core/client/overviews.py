"""The calls that return what screens draw of a job: spreads of metrics, the map of participations, a series."""

from flstore_core.client import paths
from flstore_core.client.encoding import answer_in
from flstore_core.client.exchange import Exchange, Request
from flstore_core.client.naming import Id, as_round, client_name
from flstore_core.client.results import Fields
from flstore_core.client.transfers import Transfers


class Overviews(Transfers):
    """The calls of `services.gateway.routes.overviews`. They read committed rounds, and wake no shard."""

    def metrics(
        self, job: Id, /, *, first: int | None = None, last: int | None = None, points: int | None = None
    ) -> Exchange[Fields]:
        """Return how each metric spread over the clients, round by round; see `GET /v1/jobs/{job}/metrics`.

        Args:
            first, last: the rounds; by default all that are committed.
            points: most points; of more rounds, several are put together into one.
        """
        path = paths.metrics(job, first=_round(first), last=_round(last), points=points)
        return answer_in((yield from self._send(Request("GET", path))), Fields)

    def participation(
        self,
        job: Id,
        /,
        *,
        first: int | None = None,
        last: int | None = None,
        columns: int | None = None,
        rows: int | None = None,
        after: Id | None = None,
        metric: str | None = None,
    ) -> Exchange[Fields]:
        """Return who took part when, as a map of a page of clients; see `GET /v1/jobs/{job}/participation`.

        Args:
            first, last: the rounds; by default all that are committed.
            columns: most columns; of more rounds, several are put together into one.
            rows: most clients.
            after: the client that `next` of the page before names.
            metric: what `values` of the answer are means of.
        """
        page = {"columns": columns, "rows": rows, "after": None if after is None else client_name(after)}
        path = paths.participation(job, first=_round(first), last=_round(last), **page, metric=metric)
        return answer_in((yield from self._send(Request("GET", path))), Fields)

    def client(self, job: Id, client: Id, /, *, first: int | None = None, last: int | None = None) -> Exchange[Fields]:
        """Return a client's metrics round by round, beside those of the clients that took part with it.

        Raises:
            NotFound: if it took part in no committed round.
        """
        path = paths.client_series(job, client, first=_round(first), last=_round(last))
        return answer_in((yield from self._send(Request("GET", path))), Fields)

    def norms(self, job: Id, round: int, /, *, tensors: int | None = None) -> Exchange[Fields]:  # noqa: A002
        """Return how long each client's delta is in each tensor of the model.

        Args:
            tensors: most tensors: those with the longest deltas.

        Raises:
            NotFound: if the round is not committed.
            NotEnoughData: if no statistics are stored of it.
        """
        return answer_in((yield from self._send(Request("GET", paths.norms(job, round, tensors=tensors)))), Fields)


def _round(number: int | None) -> int | None:
    return None if number is None else as_round(number)
