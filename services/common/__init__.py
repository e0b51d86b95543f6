"""What services have in common: problems as answers, JSON logs with request ids, settings, tasks, serving one app.

A shard imports this on its way up from zero, so it stays with Starlette and uvicorn: no FastAPI, no pydantic. What
only one service needs belongs to that service.
"""
