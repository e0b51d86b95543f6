"""The demonstration: a real federated training with planted attackers, and every workload asked in three ways.

`training` knows only NumPy and scikit-learn; `aggregator` is what a client would do with an object store and no
FLStore; `measure` asks both and compares; `findings` puts answers into a line; `command` shows it all.
"""
