"""Forms for async views: validated and saved by ``await``, each in one hop to the thread of the database connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar

from asgiref.sync import sync_to_async
from django import forms
from django.db import models, router, transaction

from async_uploads.forms.saving import alters_data, upload_errors_told

M = TypeVar("M", bound=models.Model)

if TYPE_CHECKING:
    Form = forms.BaseForm
else:
    Form = object


class AsyncFormMixin(Form):
    """``class SearchForm(AsyncFormMixin, forms.Form)``: adds ``abuild`` and ``ais_valid``."""

    @classmethod
    async def abuild(cls, *args: Any, **kwargs: Any) -> Self:
        """Async form of the constructor, which queries for an instance's many-to-many fields, say."""
        return await sync_to_async(cls)(*args, **kwargs)

    @alters_data
    async def ais_valid(self) -> bool:
        """Async form of ``is_valid``. Files that came with the form itself are uploaded meanwhile."""
        return self.is_bound and await sync_to_async(self.is_valid)()


if TYPE_CHECKING:

    class ModelForm(AsyncFormMixin):
        """Not ``BaseModelForm[Any]``, whose Any would hide the model of the form that the mixin is for."""

        instance: Any

        def save(self, commit: bool = True) -> Any: ...
        def save_m2m(self) -> None: ...

else:
    ModelForm = AsyncFormMixin


class AsyncModelFormMixin(ModelForm):
    """``class BookForm(AsyncModelFormMixin, forms.ModelForm)``: adds ``asave`` and ``asave_m2m`` as well.

    A save whose upload another record took meanwhile raises UploadKeyError, a ValidationError, and the form has the
    error too: the view shows it again. The record and its many-to-many rows are saved together or not at all.
    """

    @alters_data
    def save(self, commit: bool = True) -> Any:
        if not commit or self.errors:
            return super().save(commit)
        using = router.db_for_write(type(self.instance), instance=self.instance)
        with upload_errors_told(self), transaction.atomic(using=using):
            return super().save(commit)

    if TYPE_CHECKING:
        # By the form's own model, which a mixin without a type parameter does not know.
        async def asave(self: forms.BaseModelForm[M], commit: bool = True) -> M: ...  # type: ignore[misc]
    else:

        @alters_data
        async def asave(self, commit: bool = True) -> Any:
            """Async form of ``save``; raises UploadKeyError. With ``commit=False`` the instance comes as it is."""
            return await sync_to_async(self.save)(commit)

    @alters_data
    async def asave_m2m(self) -> None:
        """Async form of ``save_m2m``, for after ``asave(commit=False)`` and ``await instance.asave()``."""
        await sync_to_async(self.save_m2m)()
