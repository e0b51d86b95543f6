"""What every service does alike: problems as answers, JSON logs with request ids, and serving until told to leave.

A shard imports this on its way up from zero, so it stays with Starlette and uvicorn: no FastAPI, no pydantic. What
only one service needs belongs to that service.
"""
