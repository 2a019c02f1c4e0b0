"""The names that promoted files get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from async_uploads.models import AsyncTempFile
from tests.arrivals import arrived, row_of
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_name_that_is_taken_keeps_both_files() -> None:
    first = Document.objects.create(file=arrived(b"first"))
    second = Document.objects.create(file=arrived(b"second"))

    assert first.file.name == "documents/report.txt"
    assert second.file.name not in ("", first.file.name)
    for document, content in ((first, b"first"), (second, b"second")):
        assert Path(settings.MEDIA_ROOT, str(document.file.name)).read_bytes() == content
    assert row_of(AsyncTempFile.objects.latest("pk").key).final_name == second.file.name


def test_a_final_name_that_would_be_too_long_is_shortened_before_its_extension(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    field: Any = Document._meta.get_field("file")
    monkeypatch.setattr(field, "max_length", 120)
    monkeypatch.setattr(field, "upload_to", "d" * 90)

    first = Document.objects.create(file=arrived(b"first", f"{'n' * 100}.txt"))
    second = Document.objects.create(file=arrived(b"second", f"{'n' * 100}.txt"))

    for document in (first, second):
        name = str(document.file.name)
        assert len(name) <= 120
        assert name.startswith("d" * 90 + "/n")
        assert name.endswith(".txt")
    assert first.file.name != second.file.name


def test_the_final_name_may_be_made_of_the_primary_key(monkeypatch: pytest.MonkeyPatch) -> None:
    field: Any = Document._meta.get_field("file")
    monkeypatch.setattr(field, "upload_to", lambda instance, name: f"of-{instance.pk}/{name}")

    document = Document.objects.create(file=arrived())

    assert document.file.name == f"of-{document.pk}/report.txt"


def test_many_files_of_one_name_get_names_that_stay_short() -> None:
    documents = [Document.objects.create(file=arrived(str(number).encode())) for number in range(4)]

    names = [str(document.file.name) for document in documents]
    assert len(set(names)) == 4
    assert max(len(name) for name in names) == len("documents/report_12345678.txt")
    for number, name in enumerate(names):
        assert Path(settings.MEDIA_ROOT, name).read_bytes() == str(number).encode()


def test_a_name_without_an_extension_that_is_taken_gets_another_one_without() -> None:
    for _ in range(2):
        Document.objects.create(file=arrived(name="README"))

    assert all("." not in name for name in Document.objects.values_list("file", flat=True))


def test_the_person_sees_the_name_of_their_file_and_the_disk_a_safe_one() -> None:
    document = Document.objects.create(file=arrived(name="Übersicht (neu) 100%.txt"))

    assert AsyncTempFile.objects.get().name == "Übersicht (neu) 100%.txt"
    assert document.file.name == "documents/Übersicht_neu_100.txt"
