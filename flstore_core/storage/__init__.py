"""Durable bytes under keys: the `ObjectStore` contract, its two stores, and parallel reads over either.

What the bytes mean and how keys are laid out is decided elsewhere. The S3 store is imported only when a URL asks
for it, so that importing this package stays cheap.
"""

from flstore_core.storage.base import Body, ObjectInfo, ObjectStore, Read, read_many
from flstore_core.storage.directory import DirectoryStore
from flstore_core.storage.url import open_store

__all__ = ["Body", "DirectoryStore", "ObjectInfo", "ObjectStore", "Read", "open_store", "read_many"]
