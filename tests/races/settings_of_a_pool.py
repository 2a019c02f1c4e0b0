"""As docs/reference.md recommends for PostgreSQL: a pool that is smaller than what the server allows."""

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

DATABASES["default"] |= {
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": {"pool": {"min_size": 2, "max_size": 10, "timeout": 60}},
}
