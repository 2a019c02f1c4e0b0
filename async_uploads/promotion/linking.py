"""Promotion on one disk: the file gets its final name beside its temporary one, in the thread that saves.

No byte moves, so there is nothing to wait for: no event loop is asked, and no other thread.
"""

from __future__ import annotations

from asgiref.sync import async_to_sync

from async_uploads.events import apublish_after, is_published
from async_uploads.promotion.claims import Claim
from async_uploads.promotion.swapping import news_of, swap_and_mark
from async_uploads.signals import file_promoted, send_logged
from async_uploads.storage.arrival import tidy
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.tracing import traced


def promote_on_the_spot(claimed: Claim) -> bool:
    """True where the record has its final file now. False where it has to go the long way, by ``apromote``: that does
    again, without harm, what was done here. Blocking; outside of transactions."""
    temp_file = claimed.temp_file
    if not claimed.leased or temp_file.state != State.PROMOTING or not temp_file.field.storage.links_files:
        return False
    try:
        return link(temp_file) and _finish(claimed)
    except Exception:  # noqa: BLE001  # the long way meets it again, and sees to it
        temp_file.reload()
        return False


def link(temp_file: AsyncTempFile) -> bool:
    storage: AsyncUploadStorage = temp_file.field.storage
    return storage.link_file(temp_file.key, temp_file.final_name, if_match=temp_file.etag or None)


@traced("async_uploads.promote", lambda claimed: claimed.temp_file)
def _finish(claimed: Claim) -> bool:
    temp_file = claimed.temp_file
    field, begun = temp_file.field, temp_file.as_status()
    if not swap_and_mark(temp_file, claimed.instance):
        return False
    # What is left may fail without harm: the sweep deletes the source again.
    tidy(field.storage, temp_file.key)
    if is_published():
        async_to_sync(apublish_after)(begun, temp_file)
    send_logged(file_promoted, field.model, **news_of(temp_file))
    return True
