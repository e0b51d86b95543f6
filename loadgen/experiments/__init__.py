"""The experiments behind `make experiments`: each is a design in YAML, a measurement of one cell, and a report.

A cell is one point of a design with one seed. Its outcome is one JSON file, so that what was stopped goes on where it
was. Here belongs what asks a question of the whole system; how load is made and systems are started lies outside.
"""
