"""A storage put to the test where it will be used: each verb once, as the package and a browser use it.

What goes wrong is told in words, with what to do about it. Leaves nothing behind.
"""

from async_uploads.storage_trial.choosing import (
    Candidate,
    NoSuchStorage,
    candidate_by_alias,
    candidates_in_use,
)
from async_uploads.storage_trial.findings import Finding, Outcome
from async_uploads.storage_trial.trial import atry_storage

__all__ = [
    "Candidate",
    "Finding",
    "NoSuchStorage",
    "Outcome",
    "atry_storage",
    "candidate_by_alias",
    "candidates_in_use",
]
