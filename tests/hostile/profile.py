"""How hard the property tests try: bounded, on whatever machine, and a failure can be played again."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

bounded = settings(
    max_examples=int(os.environ.get("ASYNC_UPLOADS_EXAMPLES", "60")),
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
"""``ASYNC_UPLOADS_EXAMPLES=5000`` in the environment for a long night."""
