"""What a shard does with its slices: cache them, build their statistics, run workloads' `map` over them.

`protocol` is what gateways, the placement controller and shards say to each other; it is light, and every side imports
it. `engine` is the shard itself, over `loader` (cache and store), `accumulator` (statistics of open rounds) and
`working_set` (coming back warm). All of it is synchronous and free of HTTP; `services.shard` is its thin shell.

NumPy is the heaviest import. What needs a whole model belongs to `flstore_core.models`; where slices go is decided in
`flstore_core.placement`.
"""
