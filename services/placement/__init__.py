"""The placement controller: it observes jobs and backends, plans, acts on a runtime, and publishes the table.

It runs the backends (shards and predictors) and says which shard holds which slice. It handles no tensor, and has no
data of its own but the table, which is in the object store. So losing the controller loses no data.

The packages stand on each other in one direction: `fljobs` and `runtime` on `kube`, and `operator` on all three.
`state` wires all parts together. The planner belongs to `flstore_core.placement`. Gateways speak to this service by
HTTP.
"""
