"""`flstore run`."""

from collections.abc import Sequence
from typing import Any

import click
from rich.text import Text

from flstore_core.cli.drawing import drawn
from flstore_core.cli.session import Session, connected, wide_option
from flstore_core.cli.values import merged, pairs
from flstore_core.client import Answer
from flstore_core.presentation import legible, present, tidy
from flstore_core.units import format_size


@click.command("run")
@click.argument("job")
@click.argument("workload")
@pairs("-p", "--param", "params", help="Such as round=12 or clients='[\"c1\"]'.")
@click.option("--background", is_flag=True, help="Run it as an operation of the server, and wait until it is done.")
@wide_option
@connected
def run_command(
    session: Session, job: str, workload: str, params: Sequence[tuple[str, Any]], background: bool, wide: bool
) -> None:
    """Run WORKLOAD on JOB and show its answer: the finding in one line, and below it what matters most.

    `flstore workloads` lists the workloads, `flstore workloads NAME` the parameters of one.
    """
    parameters = merged(params)
    if background:
        answer = session.client.wait(session.client.submit(job, workload, **parameters))
    else:
        answer = session.client.run(job, workload, **parameters)
    result = tidy(answer.result.raw, session.output.console.width // 2)
    presentation = present(answer.workload, result)
    remarks = [Text(remark, "yellow") for remark in presentation.remarks]
    parts = drawn(presentation.parts, wide)
    session.show(answer.raw, Text(presentation.finding, "bold"), *remarks, *parts, _execution(answer))


def _execution(answer: Answer) -> Text:
    execution, rounds = answer.execution, answer.rounds
    about = f"round {rounds[0]}" if len(rounds) == 1 else f"{len(rounds)} rounds"
    shards = ", ".join(execution.shards) if execution.get("shards") else "no shard"
    return Text(
        f"\n{legible(answer.workload)} ({answer.pattern}) on {legible(answer.job)}, {about}, "
        f"answered by the {execution.where} ({shards}) in {execution.total_ms:.1f} ms: "
        f"{execution.hits} hits, {execution.misses} misses, "
        f"{format_size(execution.bytes_touched)} touched, {format_size(execution.bytes_fetched)} fetched",
        "dim",
    )
