"""Planted truth: what workloads find in real federated trainings whose attackers, groups and bad data are known.

`python -m tests.truth` runs all trainings, prints the tables and writes them into docs/workloads.md, which takes long.
`python -m tests.truth.page` writes the table of workloads there, which does not. Only what needs real trainings belongs
here; what an answer is by definition is tested in tests/workloads.
"""
