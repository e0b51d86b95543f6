"""Results on pages and terminals: the figures are there, and names cannot break out of their place."""

import base64
import io
import re
from xml.etree import ElementTree

import pytest
from rich.console import Console
from rich.live import Live

from flstore_core.patterns import Pattern
from loadgen.run.exporter import Exporter
from loadgen.run.page import _awake, _dollars, _hit_rate, page
from loadgen.run.tally import Tally
from loadgen.run.target import Answered
from loadgen.run.terminal import LiveView, print_results, side_by_side, summary
from tests.loadgen.results import LATENCIES, result

SVG = "{http://www.w3.org/2000/svg}"


def pictures(text: str) -> list[str]:
    return [base64.b64decode(each).decode() for each in re.findall(r'src="data:image/svg\+xml;base64,([^"]*)"', text)]


def shown(renderable: object) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(renderable)
    return console.export_text()


def test_a_page_has_the_figures_of_each_run_and_four_pictures() -> None:
    text = page([result(system="FLStore"), result(system="Cache-Agg", partial=True, headline="PARTIAL: it broke")])
    assert "<h1>Load on FLStore against Cache-Agg</h1>" in text
    assert len(pictures(text)) == 4
    assert '<img alt="Awake shards"' in text
    assert '<p class="bad"><b>Cache-Agg</b>: PARTIAL: it broke</p>' in text
    assert "<p><b>FLStore</b>: 4 requests at the rate of the trace</p>" in text
    assert "<td>audit (P2)</td><td>4</td><td>2.50</td>" in text


def test_a_page_over_one_run_draws_a_curve_for_each_pattern() -> None:
    first, *_ = pictures(page([result()]))
    assert ">overall</text>" in first
    assert ">P2</text>" in first


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a & b", '"'])
def test_names_are_text_on_a_page(name: str) -> None:
    text = page([result(system=name, headline=name)])
    assert "<script>" not in text
    for svg in pictures(text):
        names = [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]
        assert name in names or "overall" in names


def test_settings_and_counts_are_told_in_words() -> None:
    plan = {"speed": 2.0, "warm_up_s": 0.0, "pace": "open", "job_settings": {"hot_rounds": 2, "mode": "x < y"}}
    text = page([result(plan=plan, errors={"busy": 3, "lost": 1}, hit_rates={"P2": 0.75})])
    assert "<td>speed 2.0, warm up s 0.0, pace open, job settings (hot rounds 2, mode x &lt; y)</td>" in text
    assert "<td>busy 3, lost 1</td>" in text
    assert "<td>P2 0.75</td>" in text
    assert "<td>errors</td><td>none</td>" in page([result()])


def test_cost_is_summed_and_the_hit_rate_is_that_so_far() -> None:
    assert _hit_rate(result()) == [(0, 0.5), (1, 0.75)]
    assert _dollars(result()) == [(0, 1e-6), (1, 2e-6)]
    assert _awake(result()) == [(0, 1)]


def test_a_summary_is_a_row_for_each_name() -> None:
    text = shown(summary(result(errors={"busy": 3, "lost": 1})))
    for words in ("overall", "audit (P2)", "hit rate 0.750", "errors: busy × 3, lost × 1", "$0.000002"):
        assert words in text
    assert "errors: none" in shown(summary(result()))


def test_markup_in_names_is_shown_and_not_obeyed() -> None:
    assert "[red]broken[/]" in shown(summary(result(headline="[red]broken[/]")))
    assert "[bold]mine" in shown(side_by_side([result(system="[bold]mine")]))


def test_systems_stand_side_by_side_with_ratios_to_the_first() -> None:
    slower = {**LATENCIES, "mean_ms": 25.0}
    other = result(system="ObjStore-Agg", requests={"overall": slower, "P4": slower}, errors={"busy": 2})
    text = shown(side_by_side([result(system="FLStore"), other]))
    ratio = next(line for line in text.splitlines() if "FLStore's mean over this mean" in line)
    assert "1.000" in ratio
    assert "0.100" in ratio
    only_theirs = next(line for line in text.splitlines() if "P4, mean ms" in line)
    assert "–" in only_theirs
    assert "25.00" in only_theirs


def test_a_system_without_answers_has_no_ratio() -> None:
    silent = result(system="silent", requests={"overall": {**LATENCIES, "mean_ms": 0.0}})
    text = shown(side_by_side([result(system="FLStore"), silent]))
    ratio = next(line for line in text.splitlines() if "FLStore's mean over this mean" in line)
    assert "–" in ratio


def test_each_headline_is_printed_before_the_table() -> None:
    console = Console(width=160, file=io.StringIO(), record=True)
    print_results([result(system="FLStore"), result(headline="late")], console)
    text = console.export_text()
    assert text.startswith("FLStore: 4 requests at the rate of the trace\n")
    assert "http://127.0.0.1:8080: late" in text
    assert "The same load on each" in text


def counted() -> Tally:
    tally = Tally()
    tally.answer("audit", Pattern.P2, 0.010, 0.0, Answered(hits=1, dollars=0.5))
    tally.error("busy", 0.0)
    tally.uploads.add(0.1)
    tally.postponed = 2
    return tally


def test_a_live_view_shows_how_a_run_stands() -> None:
    console = Console(width=120, file=io.StringIO(), force_terminal=True)
    with Live(console=console, auto_refresh=False) as live:
        LiveView(live)(counted(), 12.4)
        text = shown(live.renderable)
    assert "12 s" in text
    assert "audit (P2)" in text
    assert "1 uploads, 0 commits, 1 errors, hit rate 1.000" in text


def test_the_exporter_shows_the_tally_it_was_told_of_last(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[int, str]] = []
    monkeypatch.setattr("loadgen.run.exporter.start_http_server", lambda port, host, _: started.append((port, host)))
    exporter = Exporter(9123)
    assert started == [(9123, "127.0.0.1")], "on loopback only"
    exporter(counted(), 1.0)
    samples = {(s.name, *s.labels.values()): s.value for metric in exporter.collect() for s in metric.samples}
    assert samples["flstore_load_requests_total",] == 1
    assert samples["flstore_load_postponed_total",] == 2
    assert samples["flstore_load_uploads_total",] == 1
    assert samples["flstore_load_dollars_total",] == 0.5
    assert samples["flstore_load_errors_total", "busy"] == 1
    assert samples["flstore_load_latency_seconds", "overall", "0.5"] == pytest.approx(0.010, rel=2e-3)
    assert ("flstore_load_latency_seconds", "audit (P2)", "0.99") in samples
