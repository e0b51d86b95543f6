"""Existing frameworks for federated learning, with their own servers and clients, recorded in FLStore.

Each has an environment of its own, because it pins other versions than FLStore's servers are tested with. It is built
when it is first asked for, below `build/frameworks`.
"""
