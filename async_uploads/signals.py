"""Signals of the package, sent with ``Signal.asend`` so that receivers may be sync or async.

``upload_completed``
    sender: the model class; arguments: ``temp_file`` (AsyncTempFile, state ``uploaded``).
``file_promoted``
    sender: the model class; arguments: ``temp_file``, ``record_pk``, ``field_name``, ``name`` (the final name).
``promotion_failed``
    sender: the model class; arguments: ``temp_file``, ``error`` (the exception), ``will_retry`` (bool).
"""

from django.dispatch import Signal

upload_completed = Signal()
file_promoted = Signal()
promotion_failed = Signal()
