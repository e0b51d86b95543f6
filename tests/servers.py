"""Real servers on free loopback ports, for tests and benchmarks."""

from loadgen.systems.seaweedfs import S3Server, _weed, free_ports, seaweedfs, wait_until

__all__ = ["S3Server", "_weed", "free_ports", "seaweedfs", "wait_until"]
