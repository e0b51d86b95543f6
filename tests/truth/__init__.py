"""Planted truth: what workloads find in real federated trainings whose attackers, groups and bad data are known.

`python -m tests.truth` runs all trainings, prints the tables and writes them into docs/workloads.md.
"""
