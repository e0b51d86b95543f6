"""Tests of what several workloads share, on records and models by hand."""
