"""The client's side of a training by reference: a mod that fetches the model, and stores the update.

The app between the two trains on arrays, as it does by value.
"""

import logging
from functools import lru_cache

from flwr.app import ConfigRecord, Context, Error, Message
from flwr.clientapp.typing import ClientAppCallable
from flwr.common.constant import ErrorCode

from flstore_core.errors import FLStoreError
from flstore_core.integrations.flower.models import model_of, plain, record_of
from flstore_core.integrations.recorder.desk import is_away
from flstore_core.integrations.reference import Assignment, Delivery, Hosts, Participant

logger = logging.getLogger("flstore.flower")

REFERENCE = "flstore.reference"
"""The record that a message by reference has in addition."""
TEXT, KEY = "text", "key"
"""In that record: the assignment or delivery, and under which key the message's arrays would be."""
CONFIGURED = "flstore-url"
"""Key of a node's configuration with the gateways that its operator allows, separated by spaces or commas."""


def by_reference(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Fetch the model from FLStore, and store the update there: a mod, as in `ClientApp(mods=[by_reference])`.

    It goes where the node's operator allows it to: to `flstore-url` of the node's configuration
    (`flower-supernode --node-config 'flstore-url="https://flstore.example"'`), or to the `FLSTORE_URL` of its
    environment. Messages by value pass as they are.
    """
    record = message.content.config_records.get(REFERENCE) if message.has_content() else None
    if record is None:
        return call_next(message, context)
    try:
        assignment = Assignment.from_text(record[TEXT])
        participant = _participant(Hosts.named(str(context.node_config.get(CONFIGURED, ""))))
        message.content[str(record[KEY])] = record_of(participant.fetch(assignment, own=False))
    except FLStoreError as error:
        return _failed(message, f"the model was not fetched: {error}")
    del message.content[REFERENCE]
    reply = call_next(message, context)
    return _by_reference(message, reply, assignment, participant) if assignment.place else reply


def _by_reference(message: Message, reply: Message, assignment: Assignment, participant: Participant) -> Message:
    """Store the update in a reply, and return the reply without it; or by value, where that may be."""
    if not reply.has_content() or len(reply.content.array_records) != 1:
        return reply
    ((key, arrays),) = reply.content.array_records.items()
    metrics = plain(*reply.content.metric_records.values())
    try:
        delivery = participant.deliver(assignment, model_of({key: arrays}), metrics)
    except FLStoreError as error:
        if assignment.by_value and is_away(error):
            logger.warning("the update is sent to the server, because FLStore does not take it: %s", error)
            return reply
        return _failed(message, f"the update was not stored: {error}")
    _put_reference(reply, key, delivery)
    return reply


def _put_reference(reply: Message, key: str, delivery: Delivery) -> None:
    reply.content[key] = record_of({})  # validation wants one record of arrays, with the same keys in every reply
    reply.content[REFERENCE] = ConfigRecord({TEXT: delivery.to_text(), KEY: key})


def _failed(message: Message, reason: str) -> Message:
    logger.error("%s", reason)
    return Message(Error(ErrorCode.MOD_FAILED_PRECONDITION, reason), reply_to=message)


@lru_cache(maxsize=4)
def _participant(hosts: Hosts) -> Participant:
    """Return what the clients in this process share."""
    return Participant(hosts)
