"""Whole models that run: exported programs, the weights put into them, and the engine that keeps both.

`archive`, `program` and `operators` read an upload without PyTorch, so that a gateway can refuse a bad one at once; the
rest imports torch and is imported by the predictor alone. Nothing here executes or unpickles any part of an upload
(docs/decisions/exported-programs.md).
"""
