"""Tests, samples and demo as one project, for mypy's plugin alone: it knows the models and settings there are."""

from asgi_app.settings import *  # noqa: F403
from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as APPS_OF_TESTS

INSTALLED_APPS = [*APPS_OF_TESTS, "asgi_app.library", "tests.typing"]
