"""Flower trainings, recorded in FLStore and advised by it: `attach` to a strategy, and nothing else changes.

`attach` is for the `ServerApp`; `client_names` is for the `ClientApp`, where clients are to keep their names from one
training to the next. Strategies may be of the message API (`flwr.serverapp.strategy`) or older ones
(`flwr.server.strategy`).

- `attaching`: what is done around a strategy's own methods, for either kind.
- `messages`, `legacy`: which methods these are, for each kind.
- `models`: records and parameters of Flower as arrays.
- `names`: clients' names.
- `chapters`: the rounds of a training, as both kinds tell of them.
"""

from flstore_core.integrations.flower.attaching import attach
from flstore_core.integrations.flower.names import client_names

__all__ = ["attach", "client_names"]
