"""FLStore as real processes on free loopback ports, and short ways to speak HTTP to it."""
