"""Fixtures of a running system with a predictor."""

from tests.models.fixtures import digits_job, predicting

__all__ = ["digits_job", "predicting"]
