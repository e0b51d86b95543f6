"""The predictor: KServe's model server over whole models, which any round, client or artifact is a version of.

The second pool beside the shards: PyTorch and the `kserve` SDK, the same cache engine under the same policies. It
speaks the Open Inference Protocol v2 to anybody, and runs the workloads that need a model for gateways. It may scale to
zero.
"""
