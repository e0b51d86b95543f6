"""Models: what they are made of, what they say, and those that a workload made."""

from collections.abc import Mapping, Sequence
from math import prod

from flstore_core.presentation.base import Answer, Listing, Row, View
from flstore_core.presentation.words import counted, listed, percent, shown, spans


def _aggregate(answer: Answer) -> str:
    out = answer["left_out"]
    without = f" without {listed(out)}" if out else ""
    made = f"{answer['method']} of {counted(len(answer['clients']), 'update')}{without}"
    return f"Round {answer['round']}: {made}, {shown(answer['moved'])} from where the round began"


def _weights(answer: Answer) -> list[Row]:
    rows = zip(answer["clients"], answer["weights"], strict=True)
    return [{"client": each, "weight": weight} for each, weight in rows]


def _heaviest_first(row: Row) -> float:
    return -float(row["weight"])


def _inspect(answer: Answer) -> str:
    whose = "the aggregate" if answer["client"] == "aggregate" else answer["client"]
    what = f"{answer['parameters']:,} parameters, norm {shown(answer['norm'])}, {percent(answer['sparsity'])} zeros"
    moved = "" if answer["distance"] is None else f", {shown(answer['distance'])} from its base"
    return f"Round {answer['round']}, {whose}: {what}{moved}"


def _farthest_first(row: Row) -> float:
    return -float(row["distance"] or 0)


def _norms(answer: Answer) -> str:
    rows = sorted(answer["norms"], key=lambda row: -row["norm"])
    longest, shortest = (
        f"{row['client']} of round {row['round']}, {shown(row['norm'])}" for row in (rows[0], rows[-1])
    )
    if len(rows) == 1:
        return f"The norm of {longest}"
    return f"Longest of {len(rows):,} models: {longest}; shortest: {shortest}"


def _inference(answer: Answer) -> str:
    outputs = [f"{each['name']} ({each['datatype']}, {_by(each['shape'])})" for each in answer["outputs"]]
    return f"Model {answer['model_version']} of {answer['model_name']} gave {listed(outputs)}"


def _by(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape)) or "a number"


def _outputs(answer: Answer) -> list[Row]:
    """Return a row for each example of each output, with its elements in columns."""
    rows: list[Row] = []
    for output in answer["outputs"]:
        width = prod(output["shape"][1:])
        for index in range(output["shape"][0] if output["shape"] else 1):
            values = output["data"][index * width : (index + 1) * width]
            rows.append({"row": index, "output": output["name"], **_indexed(values)})
    return rows


def _indexed(values: Sequence[float]) -> Row:
    """Return the elements of one example by their indices, after the index of the greatest."""
    greatest = {"greatest": max(range(len(values)), key=values.__getitem__)} if len(values) > 1 else {}
    return {**greatest, **{str(index): each for index, each in enumerate(values)}}


def _language(answer: Answer) -> str:
    rows = _continuations(answer)
    best = max(rows, key=lambda row: row["log_probability"])
    ended = sum(row["stopped"] for row in rows)
    what = f"{answer['model']} continued {counted(len(rows), 'prompt')}, {ended} of them to the stop token"
    return f"{what}; likeliest is that of prompt {best['prompt']}, log probability {shown(best['log_probability'])}"


def _continuations(answer: Answer) -> list[Row]:
    return [{"prompt": index, **row} for index, row in enumerate(answer["continuations"])]


_VERDICTS = {True: "; made again, it is the same", False: "; made again, it is not the same", None: ""}


def _provenance(answer: Answer) -> str:
    verdict = _VERDICTS[answer["verified"]]
    if answer["workload"] is not None:
        changed = [f"{row['client']} of round {row['round']}" for row in answer["changed"]]
        since = f"; changed since: {listed(changed)}" if changed else ""
        return f"{answer['workload']} made it of {counted(len(answer['inputs']), 'model')}{since}{verdict}"
    newest, *earlier = answer["generations"]
    wrong = [row["round"] for row in reversed(answer["generations"]) if row["verified"] is False]
    which = f" in round{'s' * (len(wrong) > 1)} {spans(wrong)}" if wrong else ""
    left_out = [row["client"] for row in (newest.get("advice") or {}).get("clients", []) if row["applied"] == 0.0]
    without = f", without {listed(left_out)} on advice" if left_out else ""
    back = f", traced back to round {earlier[-1]['round']}" if earlier else ""
    return (
        f"Round {newest['round']}: made of {counted(len(newest['updates']), 'update')}{without}{back}{verdict}{which}"
    )


def _updates(answer: Answer) -> list[Row]:
    """Return the updates of the newest generation."""
    return [row for newest in answer["generations"][:1] for row in newest["updates"]]


def _unlearn(answer: Answer) -> str:
    models, client = answer["models"], answer["client"]
    if not models:
        return f"{client} took part in no round: nothing to unlearn"
    most = max(models, key=lambda row: row["distance"])
    far = f"round {most['round']}, {shown(most['distance'])} from the original"
    moved = f"the aggregate of {far}" if len(models) == 1 else f"{len(models):,} aggregates, the farthest of {far}"
    return f"Without {client}: {moved}"


VIEWS: Mapping[str, View] = {
    "aggregate": View(
        _aggregate,
        [
            Listing(
                "weights",
                ["client", "weight"],
                _heaviest_first,
                "weights, the greatest first",
                _weights,
                also=["clients"],
            ),
        ],
        ["round", "method", "moved"],
    ),
    "inspect": View(
        _inspect,
        [
            Listing(
                "tensors",
                ["name", "shape", "norm", "distance", "mean", "sparsity", "dtype"],
                _farthest_first,
                "tensors, the farthest from the base first",
            ),
        ],
        ["round", "client", "parameters", "norm", "sparsity", "distance", "others"],  # `others` is a remark too
    ),
    "norms": View(
        _norms,
        [Listing("norms", ["client", "round", "norm"], lambda row: -row["norm"], "norms, the longest first")],
    ),
    "inference": View(
        _inference,
        [Listing("outputs", ["row", "output", "greatest"], title="outputs", rows=_outputs)],
        ["model_name", "model_version"],
    ),
    "llm-inference": View(
        _language,
        [
            Listing(
                "continuations",
                ["prompt", "log_probability", "stopped", "tokens"],
                lambda row: -row["log_probability"],
                "continuations, the likeliest first",
                _continuations,
            ),
        ],
        ["model"],
    ),
    "provenance": View(
        _provenance,
        [
            Listing("changed", ["client", "round", "sha256"], title="changed since"),
            Listing(
                "generations",
                ["round", "base", "updates", "distance", "verified", "aggregate"],
                title="generations, the newest first",
            ),
            Listing(
                "generations",
                ["client", "weight", "sha256"],
                _heaviest_first,
                "updates of the newest generation, the heaviest first",
                _updates,
            ),
        ],
        ["verified", "workload"],
    ),
    "unlearn": View(
        _unlearn,
        [
            Listing(
                "models",
                ["round", "distance", "artifact href"],
                lambda row: -row["distance"],
                "aggregates, the farthest from the original first",
            ),
        ],
        ["client"],
    ),
}
