"""`python -m loadgen`."""

import click

from loadgen.trace_command import trace_command


@click.group()
def main() -> None:
    """Make load and measure it."""


main.add_command(trace_command)

if __name__ == "__main__":
    main()
