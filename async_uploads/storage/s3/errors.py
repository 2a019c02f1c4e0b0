"""What can go wrong between us and S3, in words that tell a person what to mend, and without what is secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar, cast

import aiohttp
from botocore import exceptions as botocore_errors
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.base import FileChanged

FAULTS: tuple[type[Exception], ...] = (
    BotoCoreError,
    ClientError,
    ResponseParserError,
    aiohttp.ClientError,
    TimeoutError,
)
ANSWERS = (FileNotFoundError, FileExistsError, FileChanged, StorageUnavailable)

MISSING_KEY = {"NoSuchKey", "404"}
REFUSED_CONDITION = {"PreconditionFailed", "412"}

NOT_S3 = "The server's answer is not S3's: is AWS_S3_ENDPOINT_URL right?"
_CREDENTIALS = "AWS_S3_ACCESS_KEY_ID and AWS_S3_SECRET_ACCESS_KEY"
_REGION = "The bucket is in another region than AWS_S3_REGION_NAME says"
_DENIED = "The credentials may not do this: see the permissions that S3AsyncUploadStorage needs"
_EXPIRED = "The session token has expired or is not valid: the credentials have to be renewed"
_REASONS = {
    "NoSuchBucket": "The bucket does not exist: create it, or mend AWS_STORAGE_BUCKET_NAME",
    "AccessDenied": _DENIED,
    "403": _DENIED,
    "SignatureDoesNotMatch": "The secret key does not belong to the access key: mend AWS_S3_SECRET_ACCESS_KEY",
    "InvalidAccessKeyId": "The access key is not known there: mend AWS_S3_ACCESS_KEY_ID",
    "RequestTimeTooSkewed": "This machine's clock or the server's is wrong: set it",
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "AuthorizationHeaderMalformed": _REGION,
    "PermanentRedirect": _REGION,
    "301": _REGION,
    "InvalidObjectState": "The object is archived and has to be restored first",
}
"""By the code of the error: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"""

_NOT_IMPLEMENTED = (
    "The server does not know what was asked for. If that is a conditional write (If-None-Match), set "
    "AWS_S3_CONDITIONAL_WRITES = False (the storage's option conditional_writes)"
)
_CONNECTION_REASONS: dict[type[Exception], str] = {
    botocore_errors.NoCredentialsError: f"There are no credentials: set {_CREDENTIALS}, a profile or a role",
    botocore_errors.PartialCredentialsError: f"Half of the credentials are missing: set {_CREDENTIALS}",
    botocore_errors.CredentialRetrievalError: "The credentials could not be had from where they are kept",
    botocore_errors.ProfileNotFound: "There is no such profile: mend AWS_S3_SESSION_PROFILE",
    botocore_errors.NoRegionError: "There is no region: set AWS_S3_REGION_NAME",
    botocore_errors.ConnectTimeoutError: "The server does not take connections in time",
    botocore_errors.ReadTimeoutError: "The server does not answer in time",
    botocore_errors.ConnectionClosedError: "The server closed the connection",
    botocore_errors.SSLError: "The server's certificate is not trusted: see AWS_S3_VERIFY",
    botocore_errors.ProxyConnectionError: "The proxy cannot be reached: see AWS_S3_PROXIES",
    botocore_errors.EndpointConnectionError: "The server cannot be reached: is it up, and AWS_S3_ENDPOINT_URL right?",
    botocore_errors.InvalidProxiesConfigError: "AWS_S3_PROXIES cannot be used",
    ResponseParserError: NOT_S3,
    botocore_errors.IncompleteReadError: "The connection broke off",
    botocore_errors.ResponseStreamingError: "The connection broke off",
    aiohttp.ClientError: "The connection broke off",
    TimeoutError: "The server does not answer in time",
}


VerbT = TypeVar("VerbT", bound=Callable[..., Coroutine[Any, Any, Any]])


def in_plain_words(verb: VerbT) -> VerbT:
    """A storage's verb that raises no botocore errors, only those of the storage contract.

    They carry no chain: what botocore and the server say may hold keys, tokens and signed URLs.
    """

    @wraps(verb)
    async def told(storage: Any, *args: Any, **kwargs: Any) -> Any:
        plain: Exception
        try:
            return await verb(storage, *args, **kwargs)
        except FAULTS as error:
            name = next(iter((*args, *kwargs.values())))
            plain = plain_error(error, name, storage.place)
        except ANSWERS as error:
            plain = error
        plain.__cause__ = plain.__context__ = None
        raise plain  # here, where the error is no longer being handled and is not chained again

    return cast(VerbT, told)


def plain_error(error: Exception, name: str, place: str) -> Exception:
    """``error``, one of FAULTS, as an error of the storage contract."""
    if not isinstance(error, ClientError):
        return StorageUnavailable(f"{_sentence(error)} ({type(error).__name__}; {place}).")
    code = code_of(error)
    if code in MISSING_KEY:
        return FileNotFoundError(name)
    return StorageUnavailable(f"{_answered(error, code)} ({code}; {place}).")


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) or str(status_of(error))


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _answered(error: ClientError, code: str) -> str:
    if code in _REASONS:
        return _REASONS[code]
    if code == "NotImplemented" or status_of(error) == 501:
        return _NOT_IMPLEMENTED
    message = str(error.response.get("Error", {}).get("Message", "")).strip().rstrip(".")
    if code == "SlowDown" or status_of(error) >= 500:
        return f"The server is overloaded or broken: {message}"
    return f"The server refused the request: {message}"


def _sentence(error: Exception) -> str:
    if isinstance(error, botocore_errors.ParamValidationError):
        return f"S3 takes no such parameters: {_parameter_names(error)}"
    for kind, sentence in _CONNECTION_REASONS.items():
        if isinstance(error, kind):
            return sentence
    return f"The request could not be made{_innermost(error)}"


def _parameter_names(error: Any) -> str:
    """Only the names from botocore's report: a value may be a key to encrypt with."""
    report = str(error.kwargs.get("report", ""))
    named = re.findall(r'parameters? (?:in input: )?"?([\w.\[\]]+)"?', report)
    return ", ".join(dict.fromkeys(named)) or "see AWS_S3_OBJECT_PARAMETERS"


def _innermost(error: Exception) -> str:
    """What another library told botocore, by its kind: its words may hold a URL."""
    inner = getattr(error, "kwargs", {}).get("error")
    return f": {type(inner).__name__}" if isinstance(inner, Exception) else ""
