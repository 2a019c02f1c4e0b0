"""For tests of projects and storages: the contract that every storage passes, as a suite that yours can run.

Needs pytest and pytest-asyncio.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from secrets import token_hex
from urllib.parse import quote

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.core.files.base import ContentFile

from async_uploads.storage.base import AsyncUploadStorage, FileChanged, GenerateUploadUrlResponse
from async_uploads.storage_trial.browsing import aget, asend, for_another_key

CONTENT = b"0123456789"
FIELD_ID = "contract"


class Files:
    """The names that one test uses in a storage. All are deleted at its end."""

    def __init__(self, storage: AsyncUploadStorage) -> None:
        self._storage = storage
        self._names: list[str] = []
        self._folder = f"storage-contract/{token_hex(8)}"

    def temporary(self, filename: str = "report.txt") -> str:
        return self._noted(self._storage.generate_temporary_path(filename))

    def final(self, filename: str = "report.txt") -> str:
        return self._noted(f"{self._folder}/{filename}")

    async def put(self, name: str, content: bytes = CONTENT) -> str:
        assert await self._storage.asave(name, ContentFile(content, name=name.rsplit("/", 1)[1])) == name
        return name

    async def replace(self, name: str, content: bytes) -> None:
        await self._storage.adelete(name)
        await self.put(name, content)

    async def content(self, name: str) -> bytes:
        return await (await self._storage.aopen(name)).read()

    async def delete_all(self) -> None:
        for name in self._names:
            await self._storage.adelete(name)

    def _noted(self, name: str) -> str:
        self._names.append(name)
        return name


@pytest.mark.asyncio
class StorageContract:
    """What every storage promises. Subclass it as ``Test…`` and override the fixture ``storage``."""

    @pytest.fixture
    def storage(self) -> AsyncUploadStorage:
        raise NotImplementedError(
            "Override the fixture 'storage' with one that returns the storage to be tested."
        )

    @pytest_asyncio.fixture
    async def files(self, storage: AsyncUploadStorage) -> AsyncIterator[Files]:
        files = Files(storage)
        yield files
        await files.delete_all()

    ##################
    # Stat and reading
    ##################

    async def test_stat_tells_size_and_an_etag_that_changes_with_the_content(
        self, storage: AsyncUploadStorage, files: Files
    ) -> None:
        name = await files.put(files.temporary())
        before = await storage.astat(name)
        in_sync_form = await sync_to_async(storage.stat)(name)
        await files.replace(name, CONTENT[::-1])

        after = await storage.astat(name)

        assert before == in_sync_form
        assert before.size == after.size == len(CONTENT)
        assert before.etag
        assert before.etag != after.etag

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (0, 4, b"0123"),
            (3, 7, b"3456"),
            (8, 100, b"89"),
            (10, 20, b""),
            (50, 60, b""),
            (5, 5, b""),
            (7, 3, b""),
        ],
    )
    async def test_a_range_is_read(
        self, storage: AsyncUploadStorage, files: Files, start: int, end: int, expected: bytes
    ) -> None:
        name = await files.put(files.temporary())

        assert await storage.aread_range(name, start, end) == expected
        assert await sync_to_async(storage.read_range)(name, start, end) == expected

    async def test_a_range_of_other_bytes_than_those_asked_for_is_not_read(
        self, storage: AsyncUploadStorage, files: Files
    ) -> None:
        name = await files.put(files.temporary())
        etag = (await storage.astat(name)).etag
        assert await storage.aread_range(name, 2, 5, if_match=etag) == b"234"
        await files.replace(name, CONTENT[::-1])

        with pytest.raises(FileChanged):
            await storage.aread_range(name, 2, 5, if_match=etag)

    async def test_what_is_not_there_is_not_found(self, storage: AsyncUploadStorage, files: Files) -> None:
        missing, target = files.temporary(), files.final()

        with pytest.raises(FileNotFoundError):
            await storage.astat(missing)
        with pytest.raises(FileNotFoundError):
            await storage.aread_range(missing, 0, 1)
        with pytest.raises(FileNotFoundError):
            await storage.acopy_file(missing, target)
        with pytest.raises(FileNotFoundError):
            await storage.acopy_file(missing, target, if_match="etag")
        with pytest.raises(FileNotFoundError):
            await storage.aopen(missing)
        assert not await storage.aexists(missing)
        assert not await storage.aexists(target)

    async def test_a_file_is_read_in_pieces(self, storage: AsyncUploadStorage, files: Files) -> None:
        name = await files.put(files.temporary())

        async with await storage.aopen(name) as file:
            assert await file.read(3) == b"012"
            assert file.tell() == 3
            await file.seek(-2, 2)
            assert await file.read() == b"89"
            await file.seek(0)
            assert b"".join([chunk async for chunk in file]) == CONTENT
        assert await storage.asize(name) == len(CONTENT)

    async def test_an_empty_file_is_a_file(self, storage: AsyncUploadStorage, files: Files) -> None:
        name = await files.put(files.temporary(), b"")

        assert (await storage.astat(name)).size == 0
        assert await storage.aexists(name)
        assert await storage.aread_range(name, 0, 10) == b""

    @pytest.mark.parametrize("filename", ["plus+percent%20.txt", "möwe 🌊.txt", "a&b=c#d?e.txt"])
    async def test_names_are_taken_as_they_are(
        self, storage: AsyncUploadStorage, files: Files, filename: str
    ) -> None:
        source = await files.put(files.temporary())
        target = files.final(filename)

        await storage.acopy_file(source, target)

        assert await files.content(target) == CONTENT

    #######################
    # Copying, moving, deleting
    #######################

    async def test_a_copy_has_the_bytes_and_leaves_the_source(
        self, storage: AsyncUploadStorage, files: Files
    ) -> None:
        source, target = await files.put(files.temporary()), files.final()

        await storage.acopy_file(source, target, if_match=(await storage.astat(source)).etag)

        assert await files.content(target) == CONTENT
        assert await files.content(source) == CONTENT

    async def test_a_copy_outlives_its_source(self, storage: AsyncUploadStorage, files: Files) -> None:
        source, target = await files.put(files.temporary()), files.final()
        await storage.acopy_file(source, target)

        await storage.adelete(source)

        assert await files.content(target) == CONTENT
        assert not await storage.aexists(source)

    @pytest.mark.parametrize("there", [b"somebody else's", CONTENT], ids=["other-bytes", "equal-bytes"])
    async def test_a_copy_never_overwrites(
        self, storage: AsyncUploadStorage, files: Files, there: bytes
    ) -> None:
        source = await files.put(files.temporary())
        target = await files.put(files.final(), there)

        with pytest.raises(FileExistsError):
            await storage.acopy_file(source, target)
        with pytest.raises(FileExistsError):
            await sync_to_async(storage.copy_file)(source, target)

        assert await files.content(target) == there

    async def test_of_two_copies_to_one_name_only_one_succeeds(
        self, storage: AsyncUploadStorage, files: Files
    ) -> None:
        if not storage.copies_exclusively:
            pytest.skip("This storage gives each copy a name of its own instead.")
        contents = [f"copy {number}".encode() for number in range(8)]
        sources = [await files.put(files.temporary(), content) for content in contents]
        target = files.final()

        outcomes = await asyncio.gather(
            *(storage.acopy_file(source, target) for source in sources), return_exceptions=True
        )

        assert outcomes.count(None) == 1
        assert [type(outcome) for outcome in outcomes if outcome is not None] == [FileExistsError] * 7
        assert await files.content(target) == contents[outcomes.index(None)]

    async def test_a_copy_that_was_made_already_is_no_error(
        self, storage: AsyncUploadStorage, files: Files
    ) -> None:
        """A promotion that died between the copy and the record is resumed."""
        source, target = await files.put(files.temporary()), files.final()
        etag = (await storage.astat(source)).etag
        await storage.acopy_file(source, target, if_match=etag)

        await storage.acopy_file(source, target, if_match=etag)

        assert await files.content(target) == CONTENT

    async def test_bytes_that_were_swapped_after_the_check_are_not_copied(
        self, storage: AsyncUploadStorage, files: Files
    ) -> None:
        source, target = await files.put(files.temporary()), files.final()
        checked = (await storage.astat(source)).etag
        await files.replace(source, b"<script>..")

        with pytest.raises(FileChanged):
            await storage.acopy_file(source, target, if_match=checked)

        assert not await storage.aexists(target)

    async def test_a_move_leaves_no_source(self, storage: AsyncUploadStorage, files: Files) -> None:
        first, second = await files.put(files.temporary()), files.final("first.txt")
        third, fourth = await files.put(files.temporary()), files.final("second.txt")

        await storage.amove_file(first, second)
        await sync_to_async(storage.move_file)(third, fourth)

        assert await files.content(second) == await files.content(fourth) == CONTENT
        assert not await storage.aexists(first)
        assert not await storage.aexists(third)

    async def test_a_failed_move_loses_nothing(self, storage: AsyncUploadStorage, files: Files) -> None:
        source = await files.put(files.temporary())
        target = await files.put(files.final(), b"somebody else's")

        with pytest.raises(FileExistsError):
            await storage.amove_file(source, target)

        assert await files.content(source) == CONTENT

    async def test_deleting_twice_is_harmless(self, storage: AsyncUploadStorage, files: Files) -> None:
        name = await files.put(files.temporary())

        await storage.adelete(name)
        await storage.adelete(name)
        await sync_to_async(storage.delete)(name)

        assert not await storage.aexists(name)

    #######
    # Names
    #######

    async def test_keys_are_unguessable_and_lie_where_only_uploads_lie(
        self, storage: AsyncUploadStorage
    ) -> None:
        keys = {storage.generate_temporary_path("report.txt", 500) for _ in range(1000)}

        assert len(keys) == 1000
        assert all(storage.is_temporary_path(key) for key in keys)
        tokens = [key.rsplit("/", 1)[1].removesuffix("-report.txt") for key in keys]
        assert min(len(token) for token in tokens) >= 22  # 128 bits, 6 in a character

    async def test_other_names_are_not_temporary(self, storage: AsyncUploadStorage) -> None:
        folder = storage.generate_temporary_path("report.txt").split("/", 1)[0]

        for name in ("documents/report.txt", folder, f"x/{folder}/a", f"{folder}2/a"):
            assert not storage.is_temporary_path(name)

    ##########################################################
    # Bytes that come through Django, where ``receives_uploads``
    ##########################################################

    async def test_an_incoming_file_is_invisible_until_it_is_whole(
        self, storage: AsyncUploadStorage, files: Files
    ) -> None:
        _needs_incoming(storage)
        name = files.temporary()
        incoming = await storage.aopen_incoming(name)
        await incoming.write(CONTENT[:4])
        assert not await storage.aexists(name)
        await incoming.write(CONTENT[4:])
        assert not await storage.aexists(name)

        await incoming.commit()
        await incoming.abort()

        assert await files.content(name) == CONTENT

    async def test_an_incoming_file_that_is_given_up_leaves_nothing(
        self, storage: AsyncUploadStorage, files: Files
    ) -> None:
        _needs_incoming(storage)
        name = files.temporary()
        incoming = await storage.aopen_incoming(name)
        await incoming.write(CONTENT)

        await incoming.abort()
        await incoming.abort()

        assert not await storage.aexists(name)

    async def test_an_empty_file_can_come_in(self, storage: AsyncUploadStorage, files: Files) -> None:
        _needs_incoming(storage)
        name = files.temporary()

        await _receive(storage, name)

        assert (await storage.astat(name)).size == 0

    async def test_many_files_can_come_in_at_once(self, storage: AsyncUploadStorage, files: Files) -> None:
        _needs_incoming(storage)
        names = [files.temporary() for _ in range(5)]

        await asyncio.gather(*(_receive(storage, name, name.encode(), b" ", CONTENT) for name in names))

        for name in names:
            assert await files.content(name) == name.encode() + b" " + CONTENT

    ###################################################
    # Bytes that go straight to the storage, and from it
    ###################################################

    async def test_a_ticket_brings_the_bytes_to_their_key(
        self, storage: AsyncUploadStorage, files: Files
    ) -> None:
        _needs_direct_uploads(storage)
        name = files.temporary("möwe.txt")
        ticket = await _ticket_for(storage, name, content_type="text/x-contract")

        status = await send(ticket, CONTENT)

        assert 200 <= status < 300
        assert await files.content(name) == CONTENT
        assert (await storage.astat(name)).content_type == "text/x-contract"

    async def test_a_ticket_is_good_for_one_key_alone(
        self, storage: AsyncUploadStorage, files: Files
    ) -> None:
        _needs_direct_uploads(storage)
        name, other = files.temporary(), files.temporary()
        ticket = await _ticket_for(storage, name)

        status = await send(for_another_key(ticket, name, other), CONTENT)

        assert 400 <= status < 500
        assert not await storage.aexists(other)

    async def test_a_ticket_expires(self, storage: AsyncUploadStorage, files: Files) -> None:
        _needs_direct_uploads(storage)
        name = files.temporary()
        ticket = await _ticket_for(storage, name, expire=1)
        await asyncio.sleep(2)

        status = await send(ticket, CONTENT)

        assert 400 <= status < 500
        assert not await storage.aexists(name)

    @pytest.mark.parametrize(
        ("filename", "kind", "content_type"),
        [("möwe.png", "inline", "image/png"), ("page.html", "attachment", "text/html")],
    )
    async def test_a_download_is_offered_by_our_rules(
        self, storage: AsyncUploadStorage, files: Files, filename: str, kind: str, content_type: str
    ) -> None:
        if storage.serves_downloads:
            pytest.skip("The bytes of this storage go out through Django's own view.")
        name = await files.put(files.final())
        url = await storage.agenerate_download_url(name, FIELD_ID, filename=filename)

        answer = await aget(url)

        assert answer.content == CONTENT
        assert answer.headers["Content-Disposition"].startswith(kind)
        assert answer.headers["Content-Type"].split(";")[0] == content_type
        if kind == "inline":
            assert quote("möwe.png") in answer.headers["Content-Disposition"]


def _needs_incoming(storage: AsyncUploadStorage) -> None:
    if not storage.receives_uploads:
        pytest.skip("Browsers send straight to this storage.")


def _needs_direct_uploads(storage: AsyncUploadStorage) -> None:
    if storage.receives_uploads:
        pytest.skip("The bytes for this storage come through Django's own view.")


async def _receive(storage: AsyncUploadStorage, name: str, *chunks: bytes) -> None:
    incoming = await storage.aopen_incoming(name)
    try:
        for chunk in chunks:
            await incoming.write(chunk)
        await incoming.commit()
    finally:
        await incoming.abort()


async def _ticket_for(
    storage: AsyncUploadStorage, name: str, *, expire: int = 60, content_type: str | None = None
) -> GenerateUploadUrlResponse:
    return await storage.agenerate_upload_url(
        name, FIELD_ID, expire=expire, max_size=1024, content_type=content_type
    )


async def send(ticket: GenerateUploadUrlResponse, content: bytes, filename: str = "report.txt") -> int:
    """Send ``content`` as a browser does that has been given this ticket; the answer's HTTP status."""
    return (await asend(ticket, content, filename=filename, content_type="text/plain")).status
