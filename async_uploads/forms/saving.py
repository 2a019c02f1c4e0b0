"""Saves that lose a race: an upload that another record took between the form's validation and its save."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from django.db import models, router, transaction

from async_uploads.exceptions import UploadKeyError
from async_uploads.input import AsyncFileInputData

Method = TypeVar("Method", bound=Callable[..., Any])


def alters_data(method: Method) -> Method:
    """A template must not call it: neither save, nor leave a coroutine behind that nobody awaits."""
    method.alters_data = True  # type: ignore[attr-defined]  # Django's mark on functions
    return method


@contextmanager
def upload_errors_told(form: Any) -> Iterator[None]:
    """Make the UploadKeyError of a save an error of the form, at the field where there is only one, and raise it.

    For a plain ModelForm: ``with suppress(UploadKeyError), upload_errors_told(form): form.save()``.
    """
    names = [name for name, value in form.cleaned_data.items() if isinstance(value, AsyncFileInputData)]
    try:
        with as_before_on_error([form.instance]):
            yield
    except UploadKeyError as error:
        if not form.errors:  # else it is told already, further in
            form.add_error(names[0] if len(names) == 1 else None, error)
        raise


@contextmanager
def all_or_nothing(model: type[models.Model], instances: Iterable[models.Model]) -> Iterator[None]:
    """A transaction; when it is rolled back, the instances are as new as they were."""
    using = router.db_for_write(model)
    with as_before_on_error(instances), transaction.atomic(using=using):
        yield


@contextmanager
def as_before_on_error(instances: Iterable[models.Model]) -> Iterator[None]:
    """An instance that a failed save has given a primary key would be shown as one that can be edited."""
    with ExitStack() as stack:
        for instance in instances:
            stack.enter_context(_as_before_on_error(instance))
        yield


@contextmanager
def _as_before_on_error(instance: models.Model) -> Iterator[None]:
    pk, state = instance.pk, instance._state
    adding, db = state.adding, state.db
    try:
        yield
    except BaseException:
        instance.pk, state.adding, state.db = pk, adding, db
        raise
