"""Promotion: copy to the final name, compare-and-swap the model's column, delete the source.

A save claims its uploads in its own transaction (``claim``); after the commit they are promoted.
"""

from async_uploads.promotion.claims import LEASE, Claim, async_fields_of, claim, record_pk_of
from async_uploads.promotion.dispatching import (
    apromote_key,
    promote_after_commit,
    promote_inline,
    promote_temp_files,
)
from async_uploads.promotion.promoting import apromote
from async_uploads.promotion.retrying import Outcome, outcomes_of, retry_promotion

__all__ = [
    "LEASE",
    "Claim",
    "Outcome",
    "apromote",
    "apromote_key",
    "async_fields_of",
    "claim",
    "outcomes_of",
    "promote_after_commit",
    "promote_inline",
    "promote_temp_files",
    "record_pk_of",
    "retry_promotion",
]
