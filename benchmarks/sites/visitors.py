"""Makes the database of a site: its tables, and users who are logged in. ``python -m benchmarks.sites.visitors N``

Prints JSON: of each user the session's cookie; of ours and the peer the id of the field.
"""

import json
import os
import sys
from importlib import import_module

import django
from django.apps import apps
from django.conf import settings

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.sites.settings"
django.setup()

from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model  # noqa: E402
from django.contrib.auth.models import Permission  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402


def main(count: int) -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    with transaction.atomic():
        sessions = [_logged_in(f"user-{number}") for number in range(count)]
    json.dump({"sessions": sessions, "field_id": _field_id()}, sys.stdout)


def _logged_in(name: str) -> str:
    user = get_user_model().objects.create(username=name, password="!")
    user.user_permissions.set(Permission.objects.filter(codename="add_paper"))
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return str(session.session_key)


def _field_id() -> str | None:
    if settings.SITE not in ("ours", "peer"):
        return None
    field = apps.get_model(settings.SITE, "Paper")._meta.get_field("file")
    return str(field.async_field_registry.generate_id(field))


main(int(sys.argv[1]))
