"""Names of single stored models: versions in the Open Inference Protocol, and values of workloads' parameters.

`12` is the aggregate of round 12, `12:client-7` the update of that client in round 12, `artifact:ID` a model that a
workload stored.
"""

from dataclasses import dataclass

from flstore_core.errors import InvalidId, InvalidParameters
from flstore_core.ids import AGGREGATE, ClientId, client_id, object_name, parse_round

ARTIFACT = "artifact"
_FORMS = f"write 12 (a round's aggregate), 12:client-7 (an update) or {ARTIFACT}:ID"


@dataclass(frozen=True, slots=True)
class ModelName:
    """One stored model of a job."""

    round: int = 0
    client: ClientId = AGGREGATE
    artifact: str = ""
    """Its id; empty for a model of a round."""

    def __str__(self) -> str:
        if self.artifact:
            return f"{ARTIFACT}:{self.artifact}"
        return str(self.round) if self.client == AGGREGATE else f"{self.round}:{self.client}"

    @classmethod
    def parse(cls, text: str) -> "ModelName":
        """Return the model that `text` names; raise `InvalidParameters` for anything else."""
        first, _, rest = text.partition(":")
        try:
            if first == ARTIFACT:
                return cls(artifact=object_name(ARTIFACT, rest))
            if not first.isdecimal():
                raise InvalidParameters(f"model {text[:80]!r} is not usable; {_FORMS}")
            client = client_id(rest) if rest and rest != AGGREGATE else AGGREGATE
            return cls(parse_round(first), client)
        except InvalidId as error:
            raise InvalidParameters(f"model {text[:80]!r} is not usable; {_FORMS}: {error.detail}") from error
