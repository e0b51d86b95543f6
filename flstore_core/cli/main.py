"""The command group: the core's own commands, and those that other distributions add.

A distribution adds a command by an entry point of the group `flstore.commands`, whose name is the command's and whose
object is a `click.Command`. Give a `LazyCommand` where importing the command takes long.
"""

import click

from flstore_core import __version__
from flstore_core.cli.lazy import LazyCommand
from flstore_core.cli.plugins import ExtensibleGroup


@click.group(cls=ExtensibleGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="flstore")
def main() -> None:
    """FLStore: keep federated-learning rounds, and ask questions about them next to the data.

    Start one with `flstore up`, see it at work with `flstore demo`.
    """


COMMANDS = [
    LazyCommand("status", "flstore_core.cli.status:status_command", "Show shards, what they hold, and hit rates."),
    LazyCommand("jobs", "flstore_core.cli.jobs:jobs_group", "List, show, create and delete jobs."),
    LazyCommand("put", "flstore_core.cli.put:put_command", "Store clients' updates, or a round's aggregate."),
    LazyCommand("get", "flstore_core.cli.get:get_command", "Fetch a client's update, or a round's aggregate."),
    LazyCommand(
        "fetch-model",
        "flstore_core.cli.fetch_model:fetch_model_command",
        "Fetch a model and its program into a folder, to serve it there.",
    ),
    LazyCommand("drop", "flstore_core.cli.drop:drop_command", "Take an update to an open round back."),
    LazyCommand("erase", "flstore_core.cli.erase:erase_command", "Erase a client from a job."),
    LazyCommand("commit", "flstore_core.cli.commit:commit_command", "Commit a round."),
    LazyCommand(
        "export", "flstore_core.cli.export:export_group", "Hand a job on: as a table, into MLflow, as an archive."
    ),
    LazyCommand("import", "flstore_core.cli.import_:import_command", "Put an archived job into an FLStore."),
    LazyCommand("run", "flstore_core.cli.run:run_command", "Run a workload and show its answer."),
    LazyCommand("workloads", "flstore_core.cli.workloads:workloads_command", "List workloads and their parameters."),
    LazyCommand("copy-store", "flstore_core.cli.copy_store:copy_store_command", "Copy a store into another one."),
    LazyCommand("simulate", "flstore_core.simulator.command:simulate_command", "Compare caching policies on a trace."),
]

for command in COMMANDS:
    main.add_command(command)
