"""The test project as a database user who may have twenty connections, of which Django's pool takes some."""

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

ASYNC_UPLOADS = {"MAX_PENDING_PER_ADDRESS": None}

DATABASES["default"] |= {
    "USER": "twenty",
    "OPTIONS": {"pool": {"min_size": 2, "max_size": 12, "timeout": 30}},
}
