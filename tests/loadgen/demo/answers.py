"""Answers written by hand."""

from typing import Any

from flstore_core.client import Answer


def answer(workload: str, result: dict[str, Any], **execution: Any) -> Answer:
    envelope = {"job": "j", "workload": workload, "pattern": "P2", "rounds": [1]}
    return Answer.from_json({**envelope, "result": result, "execution": execution})
