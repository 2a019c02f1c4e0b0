"""Formsets: validated and saved by ``await``, one upload in one row, many files at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from asgiref.sync import sync_to_async
from django import forms
from django.forms.widgets import Script

from async_uploads.exceptions import UploadAlreadyUsed
from async_uploads.forms.saving import all_or_nothing, alters_data, upload_errors_told
from async_uploads.input import AsyncFileInputData

if TYPE_CHECKING:
    FormSet = forms.BaseFormSet[Any]
else:
    FormSet = object


class AsyncFormSetMixin(FormSet):
    """``class BaseUploads(AsyncFormSetMixin, forms.BaseFormSet)``: adds ``abuild`` and ``ais_valid``.

    One upload in two forms is an error of the second.
    """

    @classmethod
    async def abuild(cls, *args: Any, **kwargs: Any) -> Self:
        """Async form of the constructor, with the forms in it, whose rows are read from the database."""

        def build() -> Any:
            formset = cls(*args, **kwargs)
            len(formset.forms)
            return formset

        formset: Self = await sync_to_async(build)()
        return formset

    @alters_data
    async def ais_valid(self) -> bool:
        """Async form of ``is_valid``, in one hop to the thread of the database connection."""
        return self.is_bound and await sync_to_async(self.is_valid)()

    def clean(self) -> None:
        super().clean()
        self._refuse_upload_in_two_forms()

    def _refuse_upload_in_two_forms(self) -> None:
        seen: set[str] = set()
        for form in self.forms:
            if self.can_delete and self._should_delete_form(form):  # type: ignore[attr-defined]  # not in the stubs
                continue
            for name, value in list(getattr(form, "cleaned_data", {}).items()):
                if not isinstance(value, AsyncFileInputData):
                    continue
                if value.key in seen:
                    form.add_error(name, UploadAlreadyUsed())
                seen.add(value.key)


if TYPE_CHECKING:

    class ModelFormSet(AsyncFormSetMixin, forms.BaseModelFormSet[Any, Any]): ...
else:
    ModelFormSet = AsyncFormSetMixin


class AsyncModelFormSetMixin(ModelFormSet):
    """``class BaseAttachments(AsyncModelFormSetMixin, forms.BaseInlineFormSet)``: adds ``asave`` as well.

    All rows are saved, or none. A row whose upload another record took meanwhile raises UploadKeyError, and its form
    has the error too: the view shows the formset again.
    """

    @alters_data
    def save(self, commit: bool = True) -> Any:
        if not commit:
            return super().save(commit)
        model: Any = self.model  # None is for the class before the factory
        with all_or_nothing(model, [form.instance for form in self.forms]):
            return super().save(commit)

    @alters_data
    def save_new(self, form: Any, commit: bool = True) -> Any:
        with upload_errors_told(form):
            return super().save_new(form, commit=commit)

    @alters_data
    def save_existing(self, form: Any, obj: Any, commit: bool = True) -> Any:
        with upload_errors_told(form):
            return super().save_existing(form, obj, commit=commit)

    @alters_data
    async def asave(self, commit: bool = True) -> Any:
        """Async form of ``save``; raises UploadKeyError."""
        return await sync_to_async(self.save)(commit)

    @alters_data
    async def asave_m2m(self) -> None:
        """Async form of ``save_m2m``, for after ``asave(commit=False)``."""
        await sync_to_async(self.save_m2m)()


class ManyFilesMixin(FormSet):
    """Renders the formset as ``<async-file-formset>``: many files are dropped or chosen at once, each gets a row.

    Without JavaScript it is the plain formset with its extra rows.
    """

    template_name = "async_uploads/async_file_formset.html"

    @property
    def media(self) -> forms.Media:
        script: Any = Script("async_uploads/many-files.js", type="module")  # a str only, in the stubs
        return super().media + forms.Media(css={"all": ("async_uploads/many-files.css",)}, js=[script])
