"""Objects in a bucket of MinIO, SeaweedFS, Amazon S3 or another server that speaks S3.

`location` says where a bucket lies and whose `credentials` open it, `bucket` makes single attempts at single requests,
`errors` translates what goes wrong, and `store` builds the contract of `flstore_core.storage.base` on them: it tries
again, and finds out what happened when an answer was lost. Imported only when a URL asks for it, since the SDK takes
longer to import than a shard may take to start.
"""

from flstore_core.storage.s3.location import Location, read_location
from flstore_core.storage.s3.store import RETRY, S3Store

__all__ = ["RETRY", "Location", "S3Store", "read_location"]
