"""Who asks, and what they are answered: visitors with permissions, and the status of what they ask for."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.db.models import Model
from django.test import AsyncClient

from tests.asking import as_json, url_of
from tests.conftest import field_id_of
from tests.testapp.models import Guarded

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


async def user_with(name: str, *codenames: str, **more: Any) -> User:
    """A user with these permissions on models, such as ``change_guarded``."""

    def make() -> User:
        user = User.objects.create_user(name, **more)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        return user

    return await sync_to_async(make)()


async def client_of(user: User) -> AsyncClient:
    client = AsyncClient()
    await client.aforce_login(user, backend=MODEL_BACKEND)
    return client


async def signed_in(name: str = "ada", *codenames: str, **more: Any) -> AsyncClient:
    return await client_of(await user_with(name, *codenames, **more))


async def ask(client: AsyncClient, *, model: type[Model] = Guarded, field: str = "file", **more: Any) -> int:
    """The status of a request for an upload ticket; with ``instanceId`` to change that record's file."""
    response = await client.post(
        url_of("generate-upload-url"), **as_json(fieldId=field_id_of(model, field), filename="a.txt", **more)
    )
    return int(response.status_code)


async def ask_file(client: AsyncClient, pk: object, *, model: type[Model] = Guarded) -> int:
    """The status of a download: 404 where one may look, and there is no file."""
    url = url_of("download-file", field_id=field_id_of(model), instance_id=pk)
    return int((await client.get(url)).status_code)
