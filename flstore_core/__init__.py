"""FLStore's library: everything that decides, nothing that listens.

Records, the tensor codec, storage, caching policies, placement, statistics, workloads, the client and the
command line live here. HTTP servers live in `services`; load generation lives in `loadgen`.
"""

__version__ = "0.1.0"
