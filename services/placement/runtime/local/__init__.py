"""Backends as processes of this machine, with the scale-to-zero and the cold start that they have on a cluster.

Here belong the listening sockets, the child processes and their life from start to end. Nothing here knows Kubernetes.
"""
