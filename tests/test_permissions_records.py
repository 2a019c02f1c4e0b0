"""Which record is meant: one that is there, for whoever asks its default manager, or none."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.test import AsyncClient

from tests.asking import as_json, url_of
from tests.conftest import field_id_of
from tests.office.models import Dossier, Exhibit, OpenDossiers
from tests.permission_asking import ask, ask_file, signed_in
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db(transaction=True)

NOT_A_NUMBER = ["x", "1.5", " ", "\ud800", "1 OR 1=1", "0x1", str(uuid.uuid4()), "9" * 5000]
NO_SUCH_NUMBER = [0, -1, 999, 2**31, 2**63, -(2**63) - 1, 10**30]
NOT_A_UUID = ["x", 1, 2**63, "\ud800", "0" * 31, "{" * 40, "9" * 5000]
NOT_A_TEXT = [None, True, 1.5, [], [1], {}, {"pk": 1}, {"pk__gt": 0}]


@pytest.mark.parametrize("pk", [*NO_SUCH_NUMBER, *NOT_A_NUMBER])
async def test_record_that_is_not_there_is_not_found(async_client: AsyncClient, pk: int | str) -> None:
    await Document.objects.acreate()

    assert await ask(async_client, model=Document, instanceId=pk) == 404
    if pk != "\ud800":  # which no URL can say
        assert await ask_file(async_client, pk, model=Document) == 404


@pytest.mark.parametrize("pk", [*NOT_A_UUID, str(uuid.uuid4())])
async def test_record_with_another_kind_of_key_is_not_found(pk: int | str) -> None:
    client = await signed_in("root", is_superuser=True)
    await Dossier.objects.acreate(title="open")

    assert await ask(client, model=Dossier, instanceId=pk) == 404
    if pk != "\ud800":
        assert await ask_file(client, pk, model=Dossier) == 404


@pytest.mark.parametrize(
    "shape", [str, lambda pk: pk.hex, lambda pk: str(pk).upper()], ids=["dashes", "hex", "upper case"]
)
async def test_record_with_a_uuid_is_found_as_django_finds_it(shape: Callable[[uuid.UUID], str]) -> None:
    client = await signed_in("ada", "change_dossier")
    dossier = await Dossier.objects.acreate(title="open")

    assert await ask(client, model=Dossier, instanceId=shape(dossier.pk)) == 200


@pytest.mark.parametrize("pk", NOT_A_TEXT)
async def test_what_no_key_can_be_is_never_an_error_of_the_server(
    async_client: AsyncClient, pk: object
) -> None:
    record = await Document.objects.acreate()

    status = await ask(async_client, model=Document, instanceId=pk)

    assert status == (200 if pk is None else 400), record.pk


@pytest.mark.parametrize("model", [Document, Dossier])
async def test_pk_with_nul_is_invalid(
    async_client: AsyncClient, model: type[Document] | type[Dossier]
) -> None:
    given = as_json(fieldId=field_id_of(model), filename="a.txt", instanceId="1\0")
    url = url_of("download-file", field_id=field_id_of(model), instance_id="1\0")

    assert (await async_client.post(url_of("generate-upload-url"), **given)).status_code == 400
    assert (await async_client.get(url)).status_code == 400


async def test_record_hidden_by_the_default_manager_is_not_found() -> None:
    """Not even by a superuser: the project has said that it is not to be had this way."""
    root = await signed_in("root", is_superuser=True)
    clerk = await signed_in("clerk", "change_dossier", "view_dossier")
    dossier = await Dossier.objects.acreate(title="secret")
    assert [await ask(who, model=Dossier, instanceId=str(dossier.pk)) for who in (root, clerk)] == [200, 200]

    await Dossier.objects.filter(pk=dossier.pk).aupdate(sealed=True)

    assert [await ask(who, model=Dossier, instanceId=str(dossier.pk)) for who in (root, clerk)] == [404, 404]
    assert [await ask_file(who, dossier.pk, model=Dossier) for who in (root, clerk)] == [404, 404]


async def test_record_that_the_default_manager_joins_with_its_parts_is_found_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A manager that filters on a relation, and does not say ``distinct()``, has the record once for each part."""
    dossier = await Dossier.objects.acreate(title="open")
    for label in ("A", "B"):
        await Exhibit.objects.acreate(dossier=dossier, label=label)
    clerk = await signed_in("clerk", "change_dossier", "view_dossier")
    all_of_them = OpenDossiers.get_queryset
    monkeypatch.setattr(
        OpenDossiers, "get_queryset", lambda manager: all_of_them(manager).filter(exhibits__label__in="AB")
    )
    assert await Dossier.objects.acount() == 2

    assert await ask(clerk, model=Dossier, instanceId=str(dossier.pk)) == 200
    assert await ask_file(clerk, dossier.pk, model=Dossier) == 404  # allowed, and there is no file
