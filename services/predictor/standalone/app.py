"""The ASGI application of a predictor of one model, a function of its parts."""

from fastapi import FastAPI, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from flstore_core import __version__
from services.common import tracing
from services.common.logs import RequestLog
from services.common.problems import exception_handlers
from services.predictor.bodies import Bounded
from services.predictor.keeping import keeping
from services.predictor.kserving import serve_model
from services.predictor.routes import healthz
from services.predictor.standalone.state import State

JSON_TAKES = 8
"""How many times its length a body of numbers takes in memory while it is read."""


async def metrics(_: Request) -> Response:
    """KServe's metrics. Their label with the model's name is no secret: callers ask for it by that name."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


ROUTES = [Route("/healthz", healthz), Route("/readyz", healthz), Route("/metrics", metrics)]


def create_app(state: State) -> FastAPI:
    """Return the ASGI application. It asks callers for nothing: who may call is decided before it."""
    most_bytes = state.settings.run_bytes // JSON_TAKES
    app = FastAPI(
        title="FLStore model",
        version=__version__,
        routes=[*ROUTES],
        middleware=[*tracing.middleware(), Middleware(RequestLog), Middleware(Bounded, most_bytes=most_bytes)],
        exception_handlers={**exception_handlers},
        lifespan=lambda _: keeping(state.processes),
        openapi_url=None,
    )
    serve_model(app, state, state.versions.name)
    return app
