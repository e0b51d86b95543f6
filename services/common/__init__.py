"""What services have in common: problems as answers, logs, settings, proofs between them, tasks, serving one app.

A shard imports this while it starts from zero and a request waits. So nothing here imports more than Starlette and
uvicorn: no FastAPI, no pydantic. What only one service needs belongs to that service.
"""
