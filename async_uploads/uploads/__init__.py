"""The life of an upload until a record takes it: begin, receive, complete, cancel, and the check of a key."""

from async_uploads.uploads.beginning import (
    Asked,
    Visitor,
    abegin,
    afind_record,
    begin,
    find_record,
)
from async_uploads.uploads.ending import acancel, acomplete, aexpire, aexpire_all, afind_upload
from async_uploads.uploads.keys import check_key, record_names
from async_uploads.uploads.outages import logged_outage
from async_uploads.uploads.receiving import areceive
from async_uploads.uploads.submission import check_submission

__all__ = [
    "Asked",
    "Visitor",
    "abegin",
    "acancel",
    "acomplete",
    "aexpire",
    "aexpire_all",
    "afind_record",
    "afind_upload",
    "areceive",
    "begin",
    "check_key",
    "check_submission",
    "find_record",
    "logged_outage",
    "record_names",
]
