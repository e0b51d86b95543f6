"""`python -m flstore_core.cli`, for where the `flstore` script is not on the path."""

from flstore_core.cli.main import main

main(prog_name="flstore")
