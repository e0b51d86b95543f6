"""`python -m loadgen compare`, behind `make load`."""

import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live

from flstore_core.storage.network import PROFILES
from loadgen.compare.comparison import Comparison
from loadgen.run.command import FILE, click_errors
from loadgen.run.page import page
from loadgen.run.results import save
from loadgen.run.runner import Pace, Plan
from loadgen.run.scenario import Scenario, cut, load_scenario, resized
from loadgen.run.terminal import LiveView, print_results
from loadgen.systems.deployments import Deployment, System
from loadgen.systems.seaweedfs import seaweedfs
from loadgen.traces.generator import MODEL_BYTES

NETWORK = click.Choice(list(PROFILES))
LOG_WIDTH = 110


@click.command("compare", context_settings={"show_default": True})
@click.option("--scenario", default="hour", help="Scenario, or a YAML file.")
@click.option("--first", "seconds", type=float, default=3600.0, help="Only so many seconds of the trace.")
@click.option("--speed", type=float, default=120.0, help="Seconds of the trace in a second.")
@click.option("--pace", type=click.Choice([each.value for each in Pace]), default=Pace.OPEN.value)
@click.option("--model", type=click.Choice(list(MODEL_BYTES)), default="mobilenet_v3_small")
@click.option("--store", help="Store to run over; SeaweedFS on loopback, thrown away afterwards, by default.")
@click.option("--network", type=NETWORK, default="loopback", help="Link to the object store.")
@click.option("--cache-network", type=NETWORK, default="loopback", help="Link to the cache of Cache-Agg.")
@click.option("--shards", default=2)
@click.option("--cache-size", default="256MiB", help="Of each shard; Cache-Agg has as much in all.")
@click.option("-o", "--output", type=FILE, default=Path("build/load/compare.html"))
def compare_command(scenario: str, output: Path, **options: Any) -> None:
    """Put the same load on FLStore and both baselines, and print them side by side."""
    console = Console()
    if not console.is_terminal:
        console.width = LOG_WIDTH
    with click_errors(), ExitStack() as stack:
        comparison = _comparison(load_scenario(scenario), options, stack)
        results = _run(comparison, console)
        for result in results:
            save(result, output.with_name(f"{output.stem}-{result['system'].lower()}.json"))
        output.write_text(page(results), encoding="utf-8")
        print_results(results, console)
        console.print(f"The page with pictures is {output}", markup=False)
    sys.exit(1 if any(result["partial"] for result in results) else 0)


def _comparison(scenario: Scenario, options: Mapping[str, Any], stack: ExitStack) -> Comparison:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flstore-load-")))
    store, env = options["store"], dict(os.environ)
    if store is None:
        env |= stack.enter_context(seaweedfs()).env
        store = "s3://load/compare"
    deployment = Deployment(
        store=store,
        env=env,
        shards=options["shards"],
        cache_size=options["cache_size"],
        idle_seconds=scenario.idle_seconds,
        store_network=options["network"],
        cache_network=options["cache_network"],
        log=folder / "log",
    )
    seconds, model = options["seconds"], options["model"]
    about = {"scenario": f"{scenario.name}, first {seconds:g} s, {model}"}
    plan = Plan(speed=options["speed"], pace=Pace(options["pace"]))
    return Comparison(deployment, plan, lambda: resized(cut(scenario.events(), seconds), MODEL_BYTES[model]), about)


def _run(comparison: Comparison, console: Console) -> list[dict[str, Any]]:
    results = []
    for system in System:
        console.print(f"Load on {system} …")
        if console.is_terminal:
            with Live(console=console, transient=True) as live:
                results.append(comparison.run_one(system, [LiveView(live)]))
        else:
            results.append(comparison.run_one(system))
    return results
