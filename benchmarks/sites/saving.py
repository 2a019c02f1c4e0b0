"""Saves papers whose files are on the server. ``python -m benchmarks.sites.saving SIZE COUNT save|asave|atomic``

The files, of SIZE bytes, are made first: of ours as uploads that have arrived and been checked, of Django as its own
upload handlers leave a file of that size: in memory, or from 2.5 MiB in a temporary file, here on the same disk. Prints
JSON: the seconds of each save, the statements of one, the bytes that a save hands to the kernel, and how many files
have kept their inode.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import django
import uvloop
from django.conf import settings

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.sites.settings"
django.setup()

from django.apps import apps  # noqa: E402
from django.core.files.uploadedfile import (  # noqa: E402
    InMemoryUploadedFile,
    TemporaryUploadedFile,
    UploadedFile,
)
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.transaction import atomic  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

OF_TRANSACTIONS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
WARM_UP = 5


def main(size: int, count: int, way: str) -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    arrive = {"ours": _upload, "plain": _uploaded_file}[settings.SITE]
    made = [arrive(size, number) for number in range(count + WARM_UP)]
    papers = [apps.get_model(settings.SITE, "Paper")(title="Paper", file=file) for file, _inode in made]
    statements = _statements_of(papers.pop(0))
    made.pop(0)
    if way != "asave":
        before = _written()
        seconds = [_timed(paper.save if way == "save" else atomic(paper.save)) for paper in papers]
        after = _written()
    else:
        before, seconds, after = uvloop.run(_save_all(papers))
    kept = [
        os.stat(paper.file.path).st_ino == inode for paper, (_file, inode) in zip(papers, made, strict=True)
    ]
    found = {
        "seconds": seconds[WARM_UP - 1 :],
        "statements": sum(not each.startswith(OF_TRANSACTIONS) for each in statements),
        "transactions": sum(each.startswith("COMMIT") for each in statements),
        "written": (after - before) / len(papers),
        "kept": sum(kept) / len(kept),
    }
    json.dump(found, sys.stdout)


def _upload(size: int, number: int) -> tuple[str, int]:
    """The key of an upload that is there, and the inode of its file."""
    from async_uploads.testing import make_upload  # noqa: PLC0415  # which the other site has not installed

    paper: Any = apps.get_model("ours", "Paper")
    key = make_upload(paper.file, os.urandom(size), f"report-{number}.pdf").key
    return key, os.stat(paper.file.field.storage.path(key)).st_ino


def _uploaded_file(size: int, number: int) -> tuple[UploadedFile, int]:
    """What a form's view is given, and the inode of its file, 0 where it has none yet."""
    name, content = f"report-{number}.pdf", os.urandom(size)
    if size <= settings.FILE_UPLOAD_MAX_MEMORY_SIZE:
        return InMemoryUploadedFile(BytesIO(content), "file", name, "application/pdf", size, None), 0
    file = TemporaryUploadedFile(name, "application/pdf", size, None)
    file.write(content)
    file.seek(0)
    return file, os.stat(file.temporary_file_path()).st_ino


def _statements_of(paper: Any) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        paper.save()
    return [each["sql"] for each in captured.captured_queries]


def _timed(save: Callable[[], None]) -> float:
    began = time.perf_counter()
    save()
    return time.perf_counter() - began


async def _save_all(papers: list[Any]) -> tuple[int, list[float], int]:
    before, seconds = _written(), []
    for paper in papers:
        began = time.perf_counter()
        await paper.asave()
        seconds.append(time.perf_counter() - began)
    return before, seconds, _written()


def _written() -> int:
    """Bytes that this process has handed to the kernel to write, to whatever file (proc(5))."""
    return int(Path("/proc/self/io").read_text().split("wchar:")[1].split()[0])


main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
