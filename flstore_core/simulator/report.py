"""Compares policies on one trace."""
