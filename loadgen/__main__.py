"""`python -m loadgen`."""

import click

from loadgen.compare.command import compare_command
from loadgen.experiments.command import experiments_command
from loadgen.pictures.command import pictures_command
from loadgen.replay.command import replay_command
from loadgen.run.command import report_command, run_command
from loadgen.study.command import study_command
from loadgen.traces.command import trace_command


@click.group()
def main() -> None:
    """Generate load, and measure systems under it."""


main.add_command(run_command)
main.add_command(report_command)
main.add_command(compare_command)
main.add_command(trace_command)
main.add_command(study_command)
main.add_command(replay_command)
main.add_command(experiments_command)
main.add_command(pictures_command)

if __name__ == "__main__":
    main()
