"""Backends as processes of this machine. They scale to zero and start cold, as they do on a cluster.

The listening sockets belong here, and the child processes from their start to their end. Nothing here knows Kubernetes.
"""
