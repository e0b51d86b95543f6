"""`python -m loadgen.baselines.objstore`: ObjStore-Agg, configured by its environment."""

import os

from flstore_core.cost import objstore_hour_bill
from flstore_core.storage import open_store
from loadgen.baselines.app import create_app
from loadgen.baselines.serve import serve
from loadgen.baselines.service import Service
from loadgen.baselines.settings import Settings
from loadgen.baselines.sources import Direct


def main() -> None:
    settings = Settings.from_env(os.environ)
    store = open_store(settings.store, os.environ)
    service = Service(store, Direct(store), objstore_hour_bill().total)
    serve(create_app(service, settings.threads), os.environ)


if __name__ == "__main__":
    main()
