"""The experiments behind `make experiments`: each is a design in YAML, a measurement of one cell, and a report.

A cell is one point of a design with one seed. Its outcome is one JSON file, so that an interrupted run continues with
the cells that are missing.

Here: questions about the whole system, their designs and reports. Not here: how load is generated (`loadgen.run`) and
how systems are started (`loadgen.systems`).
"""
