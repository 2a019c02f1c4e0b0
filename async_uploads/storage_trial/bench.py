"""What a trial works on: the storage, and the files that it makes there."""

from __future__ import annotations

from secrets import token_hex

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.base import AsyncUploadStorage, GenerateUploadUrlResponse
from async_uploads.storage_trial.advice import advice_on
from async_uploads.storage_trial.browsing import Answer, NotReached, asend
from async_uploads.storage_trial.findings import Wrong

FILENAME = "async-storage-check.txt"
CONTENT_TYPE = "text/plain"
CONTENT = b"check_async_storage was here.\n"
OTHER_CONTENT = CONTENT.upper()
LARGEST = 1024
"""Bytes that the tickets allow."""
EXPIRE = 600
"""Seconds that the tickets and URLs are good for."""


class Bench:
    """A storage in use. ``source`` is the file that all begins with, ``target`` its copy.

    ``last_answer`` is that of the storage to what a browser sent.
    """

    def __init__(self, storage: AsyncUploadStorage, field_id: str) -> None:
        self.storage = storage
        self.field_id = field_id
        self.source: str = self.new_key()
        self.target: str = self.new_name()
        self.last_answer: Answer | None = None
        self._may_exist: dict[str, None] = {}

    def new_key(self) -> str:
        return self.storage.generate_temporary_path(FILENAME)

    def new_name(self) -> str:
        """A final name, in no directory, so that none stays behind."""
        return f"async-storage-check-{token_hex(8)}.txt"

    async def aticket_for(self, key: str) -> GenerateUploadUrlResponse:
        return await self.storage.agenerate_upload_url(
            key, self.field_id, expire=EXPIRE, max_size=LARGEST, content_type=CONTENT_TYPE
        )

    async def asend(
        self, ticket: GenerateUploadUrlResponse, key: str, content: bytes, *, origin: str | None = None
    ) -> Answer:
        """The storage's answer, whatever it is; raises Wrong where there is none."""
        names = {*self._may_exist}
        self._may_exist[key] = None
        try:
            answer = await asend(ticket, content, filename=FILENAME, content_type=CONTENT_TYPE, origin=origin)
        except NotReached as error:
            if not error.sent and key not in names:
                del self._may_exist[key]
            raise self.wrong(f"no answer: {error.reason}") from error
        if not answer.is_success and key not in names:
            del self._may_exist[key]
        self.last_answer = answer
        return answer

    async def aput(self, key: str, content: bytes, *, origin: str | None = None) -> Answer | None:
        """Bring ``content`` to ``key`` as an upload does; the storage's own answer, where it was asked directly."""
        if self.storage.receives_uploads:
            await self._areceive(key, content)
            return None
        answer = await self.asend(await self.aticket_for(key), key, content, origin=origin)
        if not answer.is_success:
            raise self.wrong(f"refused with {answer.error}")
        return answer

    async def acopy(self, from_key: str, to_key: str, *, if_match: str | None = None) -> None:
        self._may_exist[to_key] = None
        await self.storage.acopy_file(from_key, to_key, if_match=if_match)

    async def aclear(self) -> None:
        """Delete all that may have been made; raises Wrong with the names of what is left."""
        left, reason = [], "it is still there"
        for name in list(self._may_exist):
            try:
                await self.storage.adelete(name)
                if await self.storage.aexists(name):
                    left.append(name)
            except StorageUnavailable as error:
                left.append(name)
                reason = error.reason
        if left:
            advice = f"{self.wrong(reason).advice} Then delete what may be left: {', '.join(left)}"
            raise Wrong(reason, advice.strip())

    @property
    def is_clear(self) -> bool:
        return not self._may_exist

    def wrong(self, reason: str) -> Wrong:
        return Wrong(reason, advice_on(self.storage, reason))

    async def _areceive(self, key: str, content: bytes) -> None:
        self._may_exist[key] = None
        incoming = await self.storage.aopen_incoming(key)
        try:
            await incoming.write(content)
            await incoming.commit()
        finally:
            await incoming.abort()
