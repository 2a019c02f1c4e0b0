"""One project in four kinds, chosen by ``BENCH_SITE``; the same sessions, users, middleware and database for all.

``BENCH_DATA``: the folder of files and database. ``BENCH_DATABASE``: PostgreSQL's folder; empty for SQLite;
``BENCH_DATABASE_NAME``: of the database there.
``BENCH_S3``: endpoint of an S3 server, ``BENCH_REDIS``: a Redis, where files and messages are to go there.
``BENCH_LAYER``: another channel layer than that of channels_redis; none without both.
``BENCH_THREADS``, ``BENCH_UPLOADS`` (JSON): the threads of our handler, and the package's settings.
"""

import json
import os
from pathlib import Path
from typing import Any

SITE = os.environ.get("BENCH_SITE", "ours")
DATA = Path(os.environ["BENCH_DATA"])
S3 = os.environ.get("BENCH_S3", "")
REDIS = os.environ.get("BENCH_REDIS", "")
LAYER = os.environ.get("BENCH_LAYER", "")

SECRET_KEY = "benchmarks"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = f"benchmarks.sites.{SITE}.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MEDIA_ROOT = DATA / "media"
LOGGING_CONFIG = None

PACKAGES = {
    "ours": ["async_uploads", "channels"],
    "peer": ["alliance_platform.storage"],
    "plain": [],
    "tus": ["django_file_form"],
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    *PACKAGES[SITE],
    f"benchmarks.sites.{SITE}",
]

# As startproject writes it, and in ours the package's own beside it.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    *(["async_uploads.middleware.UploadOwnerMiddleware"] if SITE == "ours" else []),
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "database.sqlite3",
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        },
    },
}
if os.environ.get("BENCH_DATABASE"):
    DATABASES["default"] = {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ["BENCH_DATABASE"],
        "USER": "postgres",
        "NAME": os.environ["BENCH_DATABASE_NAME"],
    }
# What gunicorn's threads need to keep their connections, and ours.
DATABASES["default"]["CONN_MAX_AGE"] = 600

# The peer's second migration is PostgreSQL's own.
if not os.environ.get("BENCH_DATABASE"):
    MIGRATION_MODULES = {"alliance_platform_storage": None}

STORAGE_CLASSES = {
    "ours": (
        "async_uploads.storage.filesystem.FileSystemAsyncUploadStorage",
        "async_uploads.storage.s3.S3AsyncUploadStorage",
    ),
    "peer": (
        "alliance_platform.storage.async_uploads.storage.filesystem.FileSystemAsyncUploadStorage",
        "alliance_platform.storage.async_uploads.storage.s3.S3AsyncUploadStorage",
    ),
    "plain": ("django.core.files.storage.FileSystemStorage", "storages.backends.s3.S3Storage"),
    "tus": ("django.core.files.storage.FileSystemStorage", ""),
}
ON_S3 = {
    "endpoint_url": S3,
    "access_key": "app-key",
    "secret_key": "app-secret",
    "bucket_name": "uploads",
    "region_name": "us-east-1",
    "location": SITE,
    "addressing_style": "path",
    "file_overwrite": False,
}
# No server of the others syncs what it writes to the disk.
ON_DISK = {"fsync": False} if SITE == "ours" else {}
STORAGES: dict[str, Any] = {
    "default": {"BACKEND": STORAGE_CLASSES[SITE][bool(S3)], "OPTIONS": ON_S3 if S3 else ON_DISK}
}

CHANNEL_LAYERS: dict[str, Any] = {}
if LAYER:
    CHANNEL_LAYERS["default"] = {"BACKEND": LAYER}
if REDIS:
    CHANNEL_LAYERS["default"] = {
        "BACKEND": LAYER or "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS, "socket_timeout": 20}], "capacity": 10_000},
    }

CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": DATA / "cache"}
}
FILE_FORM_UPLOAD_DIR = "tus"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2**30
FILE_UPLOAD_TEMP_DIR = DATA  # on one file system with the files, which is the best for Django, too

ASYNC_UPLOADS: dict[str, Any] = {"IDLE_TIMEOUT": 300, **json.loads(os.environ.get("BENCH_UPLOADS", "{}"))}
ALLIANCE_PLATFORM: dict[str, Any] = {"CORE": {}, "STORAGE": {}}
