"""Settings of the demo: everything embedded, nothing to install or start beside Python.

Environment: DEMO_DATA names the folder for database, uploads and secret key (default: `.demo` beside
`asgi_app`); DEMO_DEBUG=0 turns DEBUG off; DEMO_STORAGE (filesystem, s3, azure) and DEMO_STORAGE_URL say where
files lie, and are set by `make demo STORAGE=…`.
"""

import os
from pathlib import Path

from django.core.management.utils import get_random_secret_key

BASE_DIR = Path(__file__).resolve().parent
DATA_DIR = Path(os.environ.get("DEMO_DATA") or BASE_DIR.parent / ".demo").resolve()
DATA_DIR.mkdir(parents=True, exist_ok=True)


def secret_key_kept_in(path: Path) -> str:
    """Make the key on the first start; later starts use the same one, so people stay logged in."""
    path.touch(mode=0o600)
    if not path.read_text():
        path.write_text(get_random_secret_key())
    return path.read_text()


SECRET_KEY = secret_key_kept_in(DATA_DIR / "secret-key")
DEBUG = os.environ.get("DEMO_DEBUG", "1") != "0"
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", "testserver"]

INSTALLED_APPS = [
    "asgi_app.library",
    "async_uploads",
    "async_uploads.drf",
    "channels",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "drf_spectacular",
    "rest_framework",
    "rest_framework.authtoken",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "asgi_app.library.middleware.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Needs to know who is asking, so it comes after AuthenticationMiddleware.
    "async_uploads.middleware.UploadOwnerMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "asgi_app.urls"
ASGI_APPLICATION = "asgi_app.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.i18n",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        # Readers go on beside one writer; a second writer waits its turn for up to `timeout` seconds.
        "OPTIONS": {
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
        },
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Of these you need one. S3 and Azure extend the storages of django-storages and take the same options and settings.
STORAGE_URL = os.environ.get("DEMO_STORAGE_URL", "")
FILE_STORAGES = {
    "filesystem": {"BACKEND": "async_uploads.storage.filesystem.FileSystemAsyncUploadStorage"},
    "s3": {
        "BACKEND": "async_uploads.storage.s3.S3AsyncUploadStorage",
        # The keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from the machine's role. Amazon's own
        # S3 needs no endpoint_url.
        "OPTIONS": {
            "bucket_name": "demo",
            "region_name": "us-east-1",
            "endpoint_url": STORAGE_URL,
            "signature_version": "s3v4",
        },
    },
    "azure": {
        "BACKEND": "async_uploads.storage.azure.AzureAsyncUploadStorage",
        "OPTIONS": {
            "azure_container": "demo",
            "connection_string": os.environ.get("AZURE_STORAGE_CONNECTION_STRING", ""),
        },
    },
}
STORAGES = {
    "default": FILE_STORAGES[os.environ.get("DEMO_STORAGE") or "filesystem"],
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
MEDIA_ROOT = DATA_DIR / "media"
STATIC_URL = "/static/"

# Carries the live progress from the upload to the watchers. In memory it reaches one process;
# with several server processes, use channels_redis.
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "documents"
LOGOUT_REDIRECT_URL = "documents"
CSRF_COOKIE_HTTPONLY = True

# Sent by library/middleware.py. 'self' does not cover WebSockets in every browser, so they are named;
# `blob:` is for previews of images. Browsers send files to S3 or Azure, and read them from there, by themselves.
STORAGE_SOURCE = f" {STORAGE_URL}" if STORAGE_URL else ""
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        f"img-src 'self' blob: data:{STORAGE_SOURCE}",
        f"connect-src 'self' ws: wss:{STORAGE_SOURCE}",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    ]
)

REST_FRAMEWORK = {
    # The first one decides that who is not known gets a 401, and not a 403.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 25,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {"TITLE": "Document library", "VERSION": "1"}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("ar", "العربية")]
USE_TZ = True
TIME_ZONE = "UTC"
