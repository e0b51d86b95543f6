"""FLStore in federated-learning frameworks: what records a training while it runs, and what it is advised.

Here: the `recorder`, which knows no framework, and one module for each framework that translates between its types and
the recorder's. A framework is imported by its own module alone, and is no dependency of FLStore.

Not here: anything that FLStore computes. Integrations stand on the client, as every other user of FLStore does.
"""
