"""FLStore and both baselines under the same load, side by side, behind `make load`.

Here: `comparison` puts the load on one system after the other, `hourly_cost` computes from their results what an hour
of the paper's trace costs. Load belongs to `loadgen.run`, starting the systems to `loadgen.systems`.
"""
