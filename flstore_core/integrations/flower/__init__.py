"""Flower trainings, recorded in FLStore and advised by it: `attach` to a strategy, and nothing else changes.

`attach` is for the `ServerApp`. Two mods are for the `ClientApp`: `client_names`, where clients are to keep their names
from one training to the next, and `by_reference`, where models are to go between clients and FLStore alone. Strategies
may be of the message API (`flwr.serverapp.strategy`) or older ones (`flwr.server.strategy`).

- `attaching`: what is done around a strategy's own methods, for either kind.
- `messages`, `legacy`: which methods these are, for each kind.
- `references`, `participating`: what is done by reference, at the server and at a client.
- `models`: records and parameters of Flower as arrays.
- `names`: clients' names.
- `chapters`: the rounds of a training, as both kinds tell of them.
"""

from flstore_core.integrations.flower.attaching import attach
from flstore_core.integrations.flower.names import client_names
from flstore_core.integrations.flower.participating import by_reference

__all__ = ["attach", "by_reference", "client_names"]
