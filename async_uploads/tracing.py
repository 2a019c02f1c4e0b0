"""A span of OpenTelemetry for each upload, completion and promotion, where ``opentelemetry-api`` is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

from async_uploads.exceptions import UploadError
from async_uploads.signals import field_label, loggable_key

try:
    from opentelemetry import trace
except ImportError:
    trace = None  # type: ignore[assignment]  # off, then

Function = TypeVar("Function", bound=Callable[..., Any])


def _itself(subject: Any) -> Any:
    return subject


def traced(name: str, upload_of: Callable[[Any], Any] = _itself) -> Callable[[Function], Function]:
    """Run a function, sync or async, in a span of its own. ``upload_of`` its first argument is the AsyncTempFile."""

    def decorate(function: Function) -> Function:
        if trace is None:
            return function

        @wraps(function)
        async def ain_span(subject: Any, *args: Any, **kwargs: Any) -> Any:
            with _span(name, upload_of(subject)):
                return await function(subject, *args, **kwargs)

        @wraps(function)
        def in_span(subject: Any, *args: Any, **kwargs: Any) -> Any:
            with _span(name, upload_of(subject)):
                return function(subject, *args, **kwargs)

        # It takes and returns what the function does.
        return cast(Function, ain_span if iscoroutinefunction(function) else in_span)

    return decorate


@contextmanager
def _span(name: str, upload: Any) -> Iterator[None]:
    # What an exception says may hold paths and file names: the span is told its kind alone.
    tracer = trace.get_tracer("async_uploads")
    with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
        if not span.is_recording():
            yield
            return
        span.set_attribute("async_uploads.key", loggable_key(upload.key))
        span.set_attribute("async_uploads.field", field_label(upload))
        try:
            yield
        except BaseException as error:
            failed = error.code if isinstance(error, UploadError) else type(error).__name__
            span.set_status(trace.Status(trace.StatusCode.ERROR, failed))
            span.set_attribute("error.type", failed)
            raise
        else:
            if upload.error_code:  # a promotion keeps its error in the row
                span.set_status(trace.Status(trace.StatusCode.ERROR, upload.error_code))
                span.set_attribute("error.type", upload.error_code)
        finally:
            span.set_attribute("async_uploads.state", str(upload.state))
            if upload.size is not None:
                span.set_attribute("async_uploads.size", upload.size)
