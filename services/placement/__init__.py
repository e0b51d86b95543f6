"""The placement controller: observes jobs and shards, plans with the core, acts on a runtime, publishes the table.

It runs the shards and says who holds what. No tensor passes through it, and nothing but the table is its own: losing
it loses no data.
"""
