"""Answers: how a workload's question becomes an answer.

Here belong reading what a question needs, having shards and predictors work on it, combining their partial answers,
keeping answers that took long, pricing them, storing the models they made, and long work that is asked about later.
Not here: what the workloads compute (`flstore_core.workloads`), how rounds are read (`services.gateway.rounds`), how
backends are called (`services.gateway.backends`), and HTTP (`services.gateway.routes`).
"""
