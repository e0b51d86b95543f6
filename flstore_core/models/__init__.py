"""Whole models that run: exported programs, the weights put into them, and the engine that keeps both.

An upload passes `archive` (the zip), `program` (the graph, by the list in `operators`) and `matching` (its parameters
and the job's tensors). These and `protocol` import no PyTorch, so a gateway can refuse a bad upload at once. Nor do the
predictor's: `library` caches, `engine` answers, `base` says what they need of the processes that programs run in. Nor
does `fetching`, which brings a model through a gateway into a `folder`, to be served without a store. The rest imports
torch and belongs there: `loading` makes a program, `binding` and `executor` run it, `runnable` gives it NumPy arrays.
Nothing here executes or unpickles any part of an upload (docs/decisions/exported-programs.md). What runs over slices
instead belongs in `flstore_core.shard`.
"""
