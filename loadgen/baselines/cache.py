"""`python -m loadgen.baselines.cache`: Cache-Agg, configured by its environment."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from flstore_core.cost import cache_hour_bill
from flstore_core.storage import open_store
from loadgen.baselines.app import create_app
from loadgen.baselines.redis import RedisClient, redis_server
from loadgen.baselines.serve import serve
from loadgen.baselines.service import Service
from loadgen.baselines.settings import Settings
from loadgen.baselines.sources import Cached


def main() -> None:
    settings = Settings.from_env(os.environ)
    store = open_store(settings.store, os.environ)
    with _redis(settings) as address:
        source = Cached(store, RedisClient(address, settings.cache_link))
        service = Service(store, source, cache_hour_bill(settings.cache_bytes).total)
        serve(create_app(service, settings.threads), os.environ)


@contextmanager
def _redis(settings: Settings) -> Iterator[tuple[str, int]]:
    if settings.redis:
        host, _, port = settings.redis.rpartition(":")
        yield host, int(port)
    else:
        with redis_server(settings.cache_bytes) as address:
            yield address


if __name__ == "__main__":
    main()
