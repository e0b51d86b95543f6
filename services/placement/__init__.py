"""The placement controller: it observes jobs and backends, plans, acts on a runtime, and publishes the table.

It runs the backends (shards and predictors) and says which shard holds which slice. It handles no tensor, and owns no
data but the table: losing the controller loses no data.

The packages stand on each other in one direction: `fljobs` and `runtime` on `kube`, `operator` on all three, and
`state` wires everything. The planner is not here but in `flstore_core.placement`; gateways know this service by HTTP.
"""
