"""What services have in common: problems as answers, logs, settings, proofs between them, tasks, serving one app.

A shard imports this on its way up from zero, so it stays with Starlette and uvicorn: no FastAPI, no pydantic. What
only one service needs belongs to that service.
"""
