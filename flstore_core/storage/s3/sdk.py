"""What is used of the SDK. Its administration client waits until it is asked for: it brings ciphers and a parser of C,
which take a third of the time in which the SDK is imported, and a store is opened in every start of a shard."""

from flstore_core.postponed import postponed

with postponed("minio.minioadmin", "MinioAdmin"):
    from minio import Minio
    from minio.credentials.credentials import Credentials
    from minio.credentials.providers import AWSConfigProvider, IamAwsProvider, Provider, StaticProvider
    from minio.datatypes import Object
    from minio.deleteobjects import DeleteObject
    from minio.error import MinioException, S3Error, ServerError
    from minio.helpers import BaseURL, check_bucket_name

__all__ = [
    "AWSConfigProvider",
    "BaseURL",
    "Credentials",
    "DeleteObject",
    "IamAwsProvider",
    "Minio",
    "MinioException",
    "Object",
    "Provider",
    "S3Error",
    "ServerError",
    "StaticProvider",
    "check_bucket_name",
]
