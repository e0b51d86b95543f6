"""`python -m loadgen run` and `report`."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live

from flstore_core.errors import FLStoreError
from loadgen.run.events import Event, read_events
from loadgen.run.exporter import Exporter
from loadgen.run.page import page
from loadgen.run.results import load, save
from loadgen.run.runner import Pace, Plan
from loadgen.run.scenario import Scenario, cut, load_scenario, resized, scenario_names
from loadgen.run.session import Session, Watch, run_session
from loadgen.run.terminal import LiveView, summary
from loadgen.traces.generator import MODEL_BYTES

FILE = click.Path(dir_okay=False, path_type=Path)


@contextmanager
def click_errors() -> Iterator[None]:
    """Turn an FLStore error into its message and exit code 1."""
    try:
        yield
    except FLStoreError as error:
        raise click.ClickException(error.detail) from error


@click.command("run", context_settings={"show_default": True})
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--scenario", help=f"One of {', '.join(scenario_names())}, or a YAML file; in place of a trace.")
@click.option("--target", default="http://127.0.0.1:8080", help="URL of an FLStore, or of a baseline.")
@click.option("--token", envvar="FLSTORE_TOKEN", default="", show_default=False, help="Bearer token.")
@click.option("--speed", type=float, help="Seconds of the trace in a second; the scenario's by default, or 1.")
@click.option("--pace", type=click.Choice([each.value for each in Pace]), default=Pace.OPEN.value)
@click.option("--first", "seconds", type=float, help="Only so many seconds of the trace.")
@click.option("--model", type=click.Choice(list(MODEL_BYTES)), help="Updates of this model, whatever the trace says.")
@click.option("--seed", type=int, help="Of the scenario's trace, and of the synthetic updates.")
@click.option("--warm-up", type=float, default=0.0, help="Seconds whose requests are not counted.")
@click.option("--error-budget", type=float, default=0.05, help="Share of requests that may fail before the run ends.")
@click.option("--timeout", type=float, default=300.0, help="Seconds a request may take.")
@click.option("--kept-answers", is_flag=True, help="Let the target answer from results it kept.")
@click.option("--network", default="loopback", help="Name of the network profile, for the report.")
@click.option("--metrics-port", type=int, help="Port for Prometheus metrics of the generator.")
@click.option("-o", "--output", type=FILE, default=Path("build/load/results.json"), help="Results; a page goes beside.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def run_command(trace: Path | None, scenario: str | None, output: Path, as_json: bool, **options: Any) -> None:
    """Replay a trace, or a scenario, against a target, at the trace's own times.

    If the run ends early, the exit code is 1 and the results are marked partial.
    """
    with click_errors():
        chosen = _chosen(trace, scenario)
        events = _events(trace, chosen, options)
        plan = _plan(chosen, options)
        about = {"scenario": chosen.name if chosen else str(trace), "network": options["network"]}
        session = Session(
            options["target"], plan, about, options["token"], options["timeout"], not options["kept_answers"]
        )
        result = _run(session, events, options["metrics_port"], as_json)
        if as_json:
            click.echo(json.dumps(result))
        else:
            Console().print(summary(result))
        save(result, output)
        _write_page([result], output.with_suffix(".html"))
    sys.exit(1 if result["partial"] else 0)


@click.command("report")
@click.argument("results", type=click.Path(exists=True, dir_okay=False, path_type=Path), nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, default=Path("build/load/report.html"), show_default=True)
def report_command(results: tuple[Path, ...], output: Path) -> None:
    """Write one page over several runs' results."""
    with click_errors():
        _write_page([load(path) for path in results], output)
    click.echo(str(output))


def _chosen(trace: Path | None, scenario: str | None) -> Scenario | None:
    if (trace is None) == (scenario is None):
        raise click.UsageError("give either a trace or --scenario")
    return load_scenario(scenario) if scenario else None


def _events(trace: Path | None, chosen: Scenario | None, options: dict[str, Any]) -> Iterator[Event]:
    if chosen:
        events = chosen.events(options["seed"])
    else:
        assert trace is not None
        events = read_events(trace)
    if options["seconds"] is not None:
        events = cut(events, options["seconds"])
    return resized(events, MODEL_BYTES[options["model"]]) if options["model"] else events


def _plan(chosen: Scenario | None, options: dict[str, Any]) -> Plan:
    plan = Plan(
        speed=options["speed"] or (chosen.speed if chosen else 1.0),
        pace=Pace(options["pace"]),
        warm_up_s=options["warm_up"] or (chosen.warm_up_s if chosen else 0.0),
        error_budget=options["error_budget"],
    )
    return plan if options["seed"] is None else replace(plan, seed=options["seed"])


def _run(session: Session, events: Iterator[Event], metrics_port: int | None, quiet: bool) -> dict[str, Any]:
    watches: list[Watch] = [Exporter(metrics_port)] if metrics_port else []
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        return run_session(session, events, watches)
    with Live(console=console, transient=True) as live:
        return run_session(session, events, [*watches, LiveView(live)])


def _write_page(results: list[dict[str, Any]], path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page(results), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"the page cannot be written to {path}: {error.strerror}") from error
