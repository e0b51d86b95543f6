"""Durable bytes under keys: the `ObjectStore` contract, its two stores, and what is built on the contract alone.

`base` is the contract, with many reads at once over it; `documents` are JSON records in any store. `directory` and `s3`
are the stores, `url` opens one by its URL, and `network` slows one down for measurements. What the bytes mean and where
they lie is decided elsewhere (`flstore_core.codec`, `flstore_core.layout`). `conditions` makes sure that a store keeps
conditional writes. The S3 store is imported only when a URL
asks for it, so importing this package is cheap.
"""

from flstore_core.storage.base import Body, ObjectInfo, ObjectStore, Read, read_many
from flstore_core.storage.directory import DirectoryStore
from flstore_core.storage.url import open_store

__all__ = ["Body", "DirectoryStore", "ObjectInfo", "ObjectStore", "Read", "open_store", "read_many"]
