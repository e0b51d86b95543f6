"""What is used of the SDK. Its administration client waits until it is asked for: it brings ciphers and a parser of C,
which take a third of the time in which the SDK is imported, and a store is opened in every start of a shard.

Each name stands twice and not in `__all__`: the documentation would take the SDK's own for ours.
"""

from flstore_core.postponed import postponed

with postponed("minio.minioadmin", "MinioAdmin"):
    from minio import Minio as Minio
    from minio.credentials.credentials import Credentials as Credentials
    from minio.credentials.providers import AWSConfigProvider as AWSConfigProvider
    from minio.credentials.providers import IamAwsProvider as IamAwsProvider
    from minio.credentials.providers import Provider as Provider
    from minio.credentials.providers import StaticProvider as StaticProvider
    from minio.datatypes import Object as Object
    from minio.deleteobjects import DeleteObject as DeleteObject
    from minio.error import MinioException as MinioException
    from minio.error import S3Error as S3Error
    from minio.error import ServerError as ServerError
    from minio.helpers import BaseURL as BaseURL
    from minio.helpers import check_bucket_name as check_bucket_name
