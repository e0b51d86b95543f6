"""One model out of a folder, served to everybody who asks: what runs under KServe's `InferenceService`.

`flstore fetch-model` has filled the folder, as KServe's storage initializer. So this server knows no store, no gateway
and no other service, and holds no key of any. Programs run in processes of their own here too.
"""

from services.predictor.standalone.app import create_app
from services.predictor.standalone.state import State, create_state

__all__ = ["State", "create_app", "create_state"]
