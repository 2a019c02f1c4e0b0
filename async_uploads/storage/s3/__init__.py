"""Uploads that go from the browser to Amazon S3, or to a server that speaks its protocol, past Django.

Needs, for the objects under the storage's ``location``: ``s3:PutObject``, ``s3:GetObject``, ``s3:DeleteObject``,
``s3:AbortMultipartUpload`` and ``s3:ListMultipartUploadParts``; for the bucket ``s3:ListBucket``, without which S3
calls what is missing forbidden. Where objects have tags, ``s3:GetObjectTagging`` and ``s3:PutObjectTagging``; where
they have an ACL, ``s3:PutObjectAcl``.
"""

from async_uploads.storage.s3.backend import S3AsyncUploadStorage

__all__ = ["S3AsyncUploadStorage"]
