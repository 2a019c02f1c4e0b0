"""The smallest project that has everything async_uploads works with: SQLite, files on disk, channels in memory.

With ``ASYNC_UPLOADS_TEST_DATABASE=postgresql`` in the environment, on PostgreSQL instead.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

# One database file and one media folder per test run; the processes that a run starts inherit its name.
RUN_ID = os.environ.setdefault("ASYNC_UPLOADS_TEST_RUN", str(os.getpid()))
RUN_PATH = Path(tempfile.gettempdir()) / f"async-uploads-tests-{RUN_ID}"
DATABASE_PATH = RUN_PATH.with_suffix(".sqlite3")
MEDIA_ROOT = RUN_PATH.with_suffix(".media")


def _remove_run_files() -> None:
    for left_behind in RUN_PATH.parent.glob(f"{DATABASE_PATH.name}*"):  # with SQLite's -wal and -shm
        left_behind.unlink(missing_ok=True)
    shutil.rmtree(MEDIA_ROOT, ignore_errors=True)


if str(os.getpid()) == RUN_ID:
    atexit.register(_remove_run_files)

SECRET_KEY = "tests"
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
ROOT_URLCONF = "tests.urls"
USE_TZ = True
STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "crispy_forms",
    "crispy_bootstrap5",
    "widget_tweaks",
    "guardian",
    "rest_framework",
    "rest_framework.authtoken",
    "async_uploads",
    "async_uploads.drf",
    "tests.drfapp",
    "tests.office",
    "tests.pages",
    "tests.testapp",
]

CRISPY_ALLOWED_TEMPLATE_PACKS = CRISPY_TEMPLATE_PACK = "bootstrap5"
ANONYMOUS_USER_NAME = None  # else guardian keeps a row among the users for those who are not signed in
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "LIST_SERIALIZER_ERRORS_AS_DICT": True,  # as it will be in DRF 3.20
}
SILENCED_SYSTEM_CHECKS = ["guardian.W001"]  # its backend is for the tests that name it

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "async_uploads.middleware.UploadOwnerMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# A file, so that each thread has a connection of its own. IMMEDIATE, because a deferred transaction that reads before
# it writes fails at once when another writer came between, whatever the timeout.
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATABASE_PATH,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        },
        "TEST": {"NAME": str(DATABASE_PATH)},
    },
}

if os.environ.get("ASYNC_UPLOADS_TEST_DATABASE") == "postgresql":
    # One name for the tests and for the servers that they start.
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": str(RUN_PATH.with_suffix(".postgresql")),
        "USER": "postgres",
        "NAME": "tests",
        "TEST": {"NAME": "tests"},
    }

STORAGES: dict[str, object] = {
    "default": {"BACKEND": "async_uploads.storage.filesystem.FileSystemAsyncUploadStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

ASGI_APPLICATION = "tests.asgi.application"

CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
