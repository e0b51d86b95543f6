"""`python -m tests.frameworks.flower.light PLAN`: the same app, its clients one after the other in a second process.

What a server's process takes is its strategy with what it holds, and nothing of clients or of a simulation's workers.
Messages go through a pipe. The process of the SuperLink, which would hold them too, is left out.
"""

import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

from flwr.app import Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from tests.frameworks.flower.app import client_app, run_server
from tests.frameworks.plan import Outcome, Plan, answer
from tests.integrations.flowers import FakeGrid


def train(plan: Plan) -> Outcome:
    """Run the app's server, with clients that answer through a pipe."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there,), daemon=True)
    process.start()
    _identify()

    def client(number: int) -> Any:
        def ask(message: Message) -> RecordDict:
            here.send((number, message))
            reply = here.recv()
            if not isinstance(reply, RecordDict):
                raise RuntimeError(reply)
            return reply

        return ask

    try:
        return run_server(plan, FakeGrid({number + 1: client(number) for number in range(plan.present)}))
    finally:
        here.close()
        process.join()


def _serve(pipe: Connection) -> None:
    """Answer messages as the nodes of the app would, until the pipe is closed."""
    _identify()
    while True:
        try:
            number, message = pipe.recv()
        except EOFError:
            return
        context = Context(1, number + 1, {"partition-id": number}, RecordDict(), {})
        pipe.send(client_app(message, context).content)


def _identify() -> None:
    """Say which task of Flower this process is, without which no message can be made."""
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1


if __name__ == "__main__":
    answer(train)
