"""Signals of the package, sent asynchronously, so that receivers may be sync or async.

``upload_completed``
    sender: the model class; arguments: ``temp_file`` (AsyncTempFile, state ``uploaded``).
``file_promoted``
    sender: the model class; arguments: ``temp_file``, ``record_pk``, ``field_name``, ``name`` (the final name).
``promotion_failed``
    sender: the model class; arguments: ``temp_file``, ``error`` (the exception), ``will_retry`` (bool).
"""

import logging
from typing import Any

from django.dispatch import Signal

logger: logging.Logger = logging.getLogger("async_uploads")

upload_completed: Signal = Signal()
file_promoted: Signal = Signal()
promotion_failed: Signal = Signal()


async def asend_logged(signal: Signal, sender: type, **arguments: Any) -> None:
    """Send; a receiver that fails is logged, for what it is told of has happened already."""
    for receiver, response in await signal.asend_robust(sender=sender, **arguments):
        if isinstance(response, Exception):
            logger.error("%r failed.", receiver, exc_info=response)
