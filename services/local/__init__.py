"""All of FLStore as processes of one machine.

Here: `running` starts gateway, placement controller and shards for `flstore up`, the demonstration, benchmarks and
tests; `supervisor` keeps child processes running; `up` is the command. How a shard is started belongs to the placement
controller (`services.placement.runtime`). Nothing here knows what a service does, only which module starts it.
"""

from flstore_core.cli.lazy import LazyCommand

up_command = LazyCommand("up", "services.local.up:up_command", "Run FLStore on this machine until Ctrl-C.")
