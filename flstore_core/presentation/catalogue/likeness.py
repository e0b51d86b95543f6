"""Who is like whom: similarities, groups, and figures by group."""

from collections.abc import Callable, Mapping

from flstore_core.presentation.base import Answer, Grid, Listing, Row, View
from flstore_core.presentation.words import counted, shown, spans


def _similarities(answer: Answer) -> str:
    rows = _clients(answer)
    where = f"Round {answer['round']}: "
    if len(rows) < 2:
        return f"{where}{counted(len(rows), 'update')}, with none to compare"
    least = min(rows, key=_mean)
    mean = sum(map(_mean, rows)) / len(rows)
    return (
        f"{where}{len(rows):,} updates have a mean cosine similarity of {shown(mean)}; "
        f"least like the others is {least['client']}, at {shown(_mean(least))}"
    )


def _clients(answer: Answer) -> list[Row]:
    """Return each client with its mean similarity to the others."""
    others = max(1, len(answer["clients"]) - 1)
    means = [(sum(row) - row[index]) / others for index, row in enumerate(answer["matrix"])]
    columns = zip(answer["clients"], means, answer["with_aggregate"], answer["norms"], strict=True)
    return [dict(zip(("client", "with_others", "with_aggregate", "norm"), each, strict=True)) for each in columns]


def _mean(row: Row) -> float:
    return float(row["with_others"])


def _groups(answer: Answer) -> str:
    clients, groups = counted(len(answer["labels"]), "client"), len(answer["clusters"])
    where = f"Round {answer['round']}: "
    if groups < 2:
        return f"{where}{clients} in one group"
    sizes = sorted((len(each["clients"]) for each in answer["clusters"]), reverse=True)
    more = ", …" if groups > 8 else ""
    of = f"{', '.join(map(str, sizes[:8]))}{more}"
    return f"{where}{clients} in {groups:,} groups, of {of}; silhouette {shown(answer['silhouette'])}"


def _personal(answer: Answer) -> str:
    models = answer["models"]
    far = max((each["distance"] for each in models), default=0.0)
    clients = counted(len(answer["labels"]), "client")
    where = f"Round {answer['round']}: "
    return f"{where}{counted(len(models), 'model')} for {clients}, up to {shown(far)} from the global model"


def _numbered(field: str) -> Callable[[Answer], list[Row]]:
    """Return what makes rows of a list of groups: each with its number and its size."""
    return lambda answer: [
        {"group": index, "size": len(row["clients"]), **row} for index, row in enumerate(answer[field])
    ]


def _tried(answer: Answer) -> list[Row]:
    return [{"groups": int(count), "silhouette": value} for count, value in answer["tried"].items()]


def _largest_first(row: Row) -> int:
    return -int(row["size"])


def _metrics(answer: Answer) -> str:
    groups = answer["groups"]
    by = ", ".join(groups[0]["key"]) if groups else ""
    grouped = f", in {counted(len(groups), 'group')} by {by}" if by else ""
    return f"{counted(answer['participations'], 'participation')} in rounds {spans(answer['rounds']) or '-'}{grouped}"


def _by_metric(answer: Answer) -> list[Row]:
    """Return a row for each group and metric."""
    return [
        {"group": _key(group), "metric": metric, **figures, "participations": group["participations"]}
        for group in answer["groups"]
        for metric, figures in group["values"].items()
    ]


def _key(group: Row) -> str | None:
    """Return what a group has in common, in words; None if it is everything."""
    return ", ".join(f"{name} {shown(each)}" for name, each in group["key"].items()) or None


VIEWS: Mapping[str, View] = {
    "cosine-similarity": View(
        _similarities,
        [
            Grid("matrix", "clients", -1.0, 1.0, sum, "cosine similarities, the client least like the others first"),
            Listing(
                "norms",
                ["client", "with_others", "with_aggregate", "norm"],
                _mean,
                "mean cosine similarities, the least first",
                _clients,
                also=["with_aggregate"],
            ),
        ],
        ["round"],
    ),
    "clustering": View(
        _groups,
        [
            Listing(
                "clusters",
                ["group", "size", "silhouette", "clients"],
                _largest_first,
                "groups, the largest first",
                _numbered("clusters"),
                also=["labels"],
            ),
            Listing(
                "tried",
                ["groups", "silhouette"],
                lambda row: -row["silhouette"],
                "numbers of groups that were tried, the best first",
                _tried,
            ),
        ],
        ["round", "silhouette"],
    ),
    "personalize": View(
        _personal,
        [
            Listing(
                "models",
                ["group", "size", "num_examples", "distance", "clients"],
                _largest_first,
                "groups, the largest first",
                _numbered("models"),
                also=["labels"],
            ),
        ],
        ["round"],
    ),
    "metrics": View(_metrics, [Listing("groups", ["group", "metric"], rows=_by_metric)], ["participations", "rounds"]),
}
