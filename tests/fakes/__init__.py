"""Stand-ins shared by all tests."""
