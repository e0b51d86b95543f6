"""Answers: how a workload's question becomes an answer.

What belongs here: reading what a question needs, having shards and predictors work on it, combining their partial
answers, keeping answers that took long, pricing them, storing the models that they made, and long work that callers ask
about later. What workloads compute belongs to `flstore_core.workloads`, how rounds are read to
`services.gateway.rounds`, how backends are called to `services.gateway.backends`, and HTTP to
`services.gateway.routes`.
"""
