"""The predictor: KServe's model server over whole models. Every round, client and artifact names a version of a model.

Predictors are a second pool beside the shards, with PyTorch and the `kserve` SDK. They have the same cache engine under
the same policies. A program runs in a process of its own (`confined`).

A predictor speaks the Open Inference Protocol v2, and runs the workloads that need a model for
gateways. It may scale to zero.
"""
