"""Whole models that run: exported programs, the weights put into them, and the engine that keeps both.

An upload passes `archive` (the zip), `program` (the graph, by the list in `operators`) and `matching` (its parameters
and the job's tensors). These and `protocol` import no PyTorch, so a gateway can refuse a bad upload at once. The rest
imports torch and belongs to the predictor: `binding` and `executor` run a program, `runnable` gives it NumPy arrays,
`running` limits it, `library` caches, `engine` answers. Nothing here executes or unpickles any part of an upload
(docs/decisions/exported-programs.md). What runs over slices instead belongs in `flstore_core.shard`.
"""
