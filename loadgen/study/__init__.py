"""The study of caching policies in simulation: policies × mixes × budgets × seeds, behind `make study`.

Here: `cells` runs the simulations, and `report` writes docs/policies.md. Traces come from
`loadgen.traces`, policies and the simulator from `flstore_core`; nothing here starts a service.
"""
