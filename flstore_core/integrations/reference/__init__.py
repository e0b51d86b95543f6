"""Trainings whose server holds no model: clients and FLStore exchange models, the framework's messages only name them.

    server                          client                                    FLStore
      │  Assignment: a model by        │                                         │
      │  round and hash, two tickets   │                                         │
      ├───────────────────────────────▶│ fetch: GET the model, by its ticket     │
      │                                │◀────────────────────────────────────────┤
      │                                │ train                                   │
      │                                │ deliver: PUT the update, by its ticket  │
      │  Delivery: the update's hash   ├────────────────────────────────────────▶│
      │◀───────────────────────────────┤                                         │
      │ look whether it is stored as said, ask for advice, have the aggregate made next to the updates
      ├─────────────────────────────────────────────────────────────────────────▶│

- `references`: what the messages carry, and how it is read from the other side.
- `hosts`: the gateways that a client may be sent to.
- `participant`: a client's side.
- `coordinator`: the server's side, beside the recorder.

Nothing here knows a framework.
"""

from flstore_core.integrations.reference.coordinator import ByReference, Coordinator
from flstore_core.integrations.reference.hosts import Hosts
from flstore_core.integrations.reference.participant import Participant
from flstore_core.integrations.reference.references import Assignment, Delivery, Model, Place

__all__ = ["Assignment", "ByReference", "Coordinator", "Delivery", "Hosts", "Model", "Participant", "Place"]
