"""What several workloads do alike and no textbook describes: name and score models, group clients, read metrics.

Here belongs code that knows rounds, clients and parameters, and that two workloads or more use. Code that one
workload uses stays in that workload's file; mathematics goes to `methods`. Nothing here imports a workload.
"""
