"""The servers: gateway, shard, placement controller. Each is a thin shell that parses, calls the core and answers."""
