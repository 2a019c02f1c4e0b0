"""The pages as a project of their own, under a server. PAGES_DATA names the folder for database and uploads."""

import os
from pathlib import Path

from tests.settings import ALLOWED_HOSTS as ALLOWED_HOSTS
from tests.settings import CHANNEL_LAYERS as CHANNEL_LAYERS
from tests.settings import CRISPY_ALLOWED_TEMPLATE_PACKS as CRISPY_ALLOWED_TEMPLATE_PACKS
from tests.settings import CRISPY_TEMPLATE_PACK as CRISPY_TEMPLATE_PACK
from tests.settings import DEFAULT_AUTO_FIELD as DEFAULT_AUTO_FIELD
from tests.settings import MIDDLEWARE as MIDDLEWARE
from tests.settings import SECRET_KEY as SECRET_KEY
from tests.settings import STATIC_URL as STATIC_URL
from tests.settings import STORAGES as STORAGES
from tests.settings import TEMPLATES as TEMPLATES
from tests.settings import USE_TZ as USE_TZ

DATA = Path(os.environ["PAGES_DATA"])
DEBUG = True  # for the static files
ROOT_URLCONF = "tests.pages.urls"
ASGI_APPLICATION = "tests.pages.asgi.application"
MEDIA_ROOT = DATA / "media"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "crispy_forms",
    "crispy_bootstrap5",
    "widget_tweaks",
    "async_uploads",
    "tests.pages",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "db.sqlite3",
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
