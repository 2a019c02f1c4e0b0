"""The test project as docs/deployment.md has it: a channel layer on Redis, downloads sent by nginx."""

import os

from tests.many import settings_of
from tests.settings import *  # noqa: F403

MEDIA_URL = "/media/"
ASYNC_UPLOADS = {"SENDFILE": "x-accel-redirect"}
CHANNEL_LAYERS = settings_of(os.environ["ASYNC_UPLOADS_TEST_REDIS"])
