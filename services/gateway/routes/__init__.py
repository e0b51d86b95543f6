"""Endpoints by what they are about. They translate: parse, one call, shape the reply."""
