"""Backends: the shards and predictors that a gateway has work done in, and where they are.

Here belong the placement table and how it is followed, the HTTP calls of backends and their retries. Not here: the
messages themselves, which both sides share (`flstore_core.shard.protocol`, `flstore_core.models.protocol`), and what
an answer is used for.
"""
