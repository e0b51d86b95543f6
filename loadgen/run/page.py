"""One or several runs as a self-contained HTML page: figures and pictures."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from itertools import accumulate
from typing import Any

from loadgen.pictures.base import LATENCY_AXES, Axis, Curve, Picture
from loadgen.pictures.drawing import draw
from loadgen.run.terminal import COLUMNS

Result = Mapping[str, Any]

_STYLE = (
    "body{font-family:sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #ccc;padding:.25em .6em;text-align:right}"
    "img{max-width:100%}td:first-child,th:first-child{text-align:left}.bad{color:#b00}h2{margin-top:2em}"
)


def page(results: Sequence[Result]) -> str:
    """Return the page."""
    title = " against ".join(name_of(result) for result in results)
    body = [f"<h1>Load on {escape(title)}</h1>"]
    for result in results:
        bad = ' class="bad"' if _is_bad(result) else ""
        body.append(f"<p{bad}><b>{escape(name_of(result))}</b>: {escape(str(result['headline']))}</p>")
    body += map(_embedded, _pictures(results))
    body += [_figures(result) for result in results]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def name_of(result: Result) -> str:
    """Return the name of a run's system, or its URL."""
    return str(result.get("system") or result["target"])


def _is_bad(result: Result) -> bool:
    return bool(result["partial"]) or str(result["headline"]).startswith("DID NOT")


def _pictures(results: Sequence[Result]) -> Iterator[Picture]:
    many = len(results) > 1
    names = ["overall"] if many else list(results[0]["curves"])
    curves = {
        (name_of(result) if many else name): result["curves"].get(name, []) for result in results for name in names
    }
    yield Picture("Latency: share of requests answered within", curves, *LATENCY_AXES)
    yield _over_time(results, "Hit rate so far", Axis.share("requests that hit"), _hit_rate)
    yield _over_time(results, "Awake shards", Axis("shards", low=0.0, whole=True), _awake)
    yield _over_time(results, "Cost of the requests so far", Axis("dollars", low=0.0), _dollars)


def _over_time(results: Sequence[Result], title: str, upwards: Axis, curve_of: Callable[[Result], Curve]) -> Picture:
    curves = {name_of(result): curve_of(result) for result in results}
    return Picture(title, curves, Axis("time in s", low=0.0), upwards)


def _embedded(picture: Picture) -> str:
    """Return a picture as an element of its own: the styles and names in an SVG would hold for the whole page."""
    svg = base64.b64encode(draw(picture).encode()).decode()
    return f'<img alt="{escape(picture.title)}" src="data:image/svg+xml;base64,{svg}">'


def _hit_rate(result: Result) -> Curve:
    """Return the share of hits up to each second."""
    rows = [(int(at), row) for at, row in result["seconds"].items()]
    hits = accumulate(row["hits"] for _, row in rows)
    asked = accumulate(row["requests"] for _, row in rows)
    return [(at, hit / total) for (at, _), hit, total in zip(rows, hits, asked, strict=True) if total]


def _awake(result: Result) -> Curve:
    return [(int(at), row["awake"]) for at, row in result["seconds"].items() if row["awake"] is not None]


def _dollars(result: Result) -> Curve:
    rows = list(result["seconds"].items())
    return [
        (int(at), total) for (at, _), total in zip(rows, accumulate(row["dollars"] for _, row in rows), strict=True)
    ]


def _in_words(settings: Mapping[str, Any]) -> str:
    told = (f"{name.replace('_', ' ')} {_in_one(each)}" for name, each in settings.items())
    return ", ".join(told) or "none"


def _in_one(value: object) -> str:
    return f"({_in_words(value)})" if isinstance(value, Mapping) else str(value)


def _figures(result: Result) -> str:
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("", "count", *(c.replace("_", " ") for c in COLUMNS)))
    rows = []
    for name, row in {**result["requests"], "uploads": result["uploads"], "commits": result["commits"]}.items():
        cells = "".join(f"<td>{row[column]:.2f}</td>" for column in COLUMNS)
        rows.append(f"<tr><td>{escape(name)}</td><td>{row['count']}</td>{cells}</tr>")
    facts = {
        "target": result["target"],
        "scenario": result.get("scenario", "–"),
        "network": result.get("network", "–"),
        "seconds": result["elapsed_s"],
        "asked, answered, postponed": f"{result['asked']}, {result['answered']}, {result['postponed']}",
        "errors": _in_words(result["errors"]),
        "hit rate by pattern": _in_words(result["hit_rates"]),
        "dollars": f"{result['dollars']:.6f}",
        "sent late by, p99 ms": result["lag"]["p99_ms"],
        "plan": _in_words(result["plan"]),
    }
    told = "".join(f"<tr><td>{escape(k)}</td><td>{escape(str(v))}</td></tr>" for k, v in facts.items())
    return f"<h2>{escape(name_of(result))}</h2><table><tr>{heads}</tr>{''.join(rows)}</table><table>{told}</table>"
