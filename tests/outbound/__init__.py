"""Tests of the ways out: proxies and certificates, for the gateway's clients and for the S3 store."""
