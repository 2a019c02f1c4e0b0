"""Parameters of S3's requests: the project's object parameters, as far as each request takes them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from async_uploads.inspection import is_inline_type, may_be_inline, served_type
from async_uploads.storage.s3.options import S3Options

ENCRYPTION = ("ServerSideEncryption", "SSEKMSKeyId", "SSEKMSEncryptionContext", "BucketKeyEnabled")
KEPT = ("ContentType", "ContentEncoding", "ContentLanguage", "ContentDisposition", "CacheControl", "Expires")
"""What S3 stores beside the bytes and the metadata, and a copy keeps."""

NO_TYPE = {"", "binary/octet-stream"}
"""S3's own answer where nobody said a type."""


def accepted(client: Any, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Those of ``parameters`` that ``operation`` knows, ``HeadObject`` and so on."""
    members = client.meta.service_model.operation_model(operation).input_shape.members
    return {name: value for name, value in parameters.items() if name in members}


def reading_parameters(storage: S3Options, client: Any, operation: str, key: str) -> dict[str, Any]:
    """What a request that reads or deletes takes along: who pays, who owns the bucket, the customer's key."""
    parameters = accepted(client, operation, storage.get_object_parameters(key))
    if key.startswith(storage.key_of(f"{storage.temporary_key_prefix}/")):
        # What a browser sent is not encrypted with the customer's key, which it would have to know.
        return {name: value for name, value in parameters.items() if not name.startswith("SSECustomer")}
    return parameters


def encryption_fields(storage: S3Options, client: Any, key: str) -> dict[str, str]:
    """The fields of a form that have S3 encrypt what the browser sends."""
    members = client.meta.service_model.operation_model("PutObject").input_shape.members
    given = storage.get_object_parameters(key)
    return {
        members[name].serialization["name"]: _as_text(given[name])
        for name in ENCRYPTION
        if given.get(name) is not None
    }


def copy_parameters(
    storage: S3Options, stored: dict[str, Any], target: str, metadata: dict[str, str]
) -> dict[str, Any]:
    """How a copy is stored: as its source, ``stored`` by HeadObject's answer, unless the project says otherwise."""
    given = dict(storage.get_object_parameters(target))
    if storage.default_acl:
        given.setdefault("ACL", storage.default_acl)
    kept = {name: stored[name] for name in KEPT if stored.get(name)}
    if kept.get("ContentType", "") in NO_TYPE:
        kept["ContentType"] = served_type(target)
    parameters = {**kept, **given}
    parameters["Metadata"] = {**stored.get("Metadata", {}), **given.get("Metadata", {}), **metadata}
    inline = may_be_inline(target) and is_inline_type(parameters["ContentType"])
    if not inline and "ContentDisposition" not in given:
        # A CDN that serves it unsigned says what is stored, and not every server keeps a browser from saying "inline".
        parameters["ContentDisposition"] = _as_attachment(kept.get("ContentDisposition", ""))
    return parameters


async def tags_of(client: Any, request: dict[str, Any], stored: dict[str, Any]) -> dict[str, str]:
    """``Tagging`` with the tags of an object, which a copy in parts would lose; nothing where there are none."""
    if not stored.get("TagCount"):
        return {}
    tags = (await client.get_object_tagging(**accepted(client, "GetObjectTagging", request)))["TagSet"]
    return {"Tagging": urlencode({tag["Key"]: tag["Value"] for tag in tags})}


def _as_attachment(disposition: str) -> str:
    return disposition if disposition.lower().startswith("attachment") else "attachment"


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
