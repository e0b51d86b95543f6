"""Clients' names. Flower's node ids are drawn anew for each simulation; names last from one training to the next."""

from flwr.app import ConfigRecord, Context, Message
from flwr.clientapp.typing import ClientAppCallable

RECORD = "flstore"
"""The record of a reply in which a client says its name."""
METRICS = "fitres.metrics"
"""The record of a reply that becomes the metrics of the older strategies."""
KEY = "flstore-client"
"""The name's key in either."""
CONFIGURED = ("flstore-client", "client-name", "name", "partition-id")
"""Keys of a node's configuration that name its client, the first that there is."""


def client_names(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Say the client's name in each reply: a mod, as in `ClientApp(mods=[client_names])`.

    The name is `flstore-client`, `client-name`, `name` or `partition-id` of the node's configuration. Simulations set
    the last one; `flower-supernode --node-config 'client-name="hospital-a"'` sets any.
    """
    reply = call_next(message, context)
    name = next((str(context.node_config[key]) for key in CONFIGURED if key in context.node_config), "")
    if name and reply.has_content():
        if METRICS in reply.content.config_records:
            reply.content.config_records[METRICS][KEY] = name
        else:
            reply.content[RECORD] = ConfigRecord({KEY: name})
    return reply


def name_of(reply: Message) -> str:
    """Return the name of the client that sent a reply; its node's id if it said none."""
    records = reply.content.config_records if reply.has_content() else {}
    said = records[RECORD].get(KEY) if RECORD in records else None
    return str(said) if said else str(reply.metadata.src_node_id)
