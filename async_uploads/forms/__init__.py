"""Form fields and the widget: the form carries a key, the bytes have gone ahead (or come with it, without a script)."""

from async_uploads.forms.element import widget_messages
from async_uploads.forms.fields import AsyncFileBoundField, AsyncFileField, AsyncImageField
from async_uploads.forms.formsets import AsyncFormSetMixin, AsyncModelFormSetMixin, ManyFilesMixin
from async_uploads.forms.mixins import AsyncFormMixin, AsyncModelFormMixin
from async_uploads.forms.saving import all_or_nothing, upload_errors_told
from async_uploads.forms.widgets import AsyncFileInput

__all__ = [
    "AsyncFileBoundField",
    "AsyncFileField",
    "AsyncFileInput",
    "AsyncFormMixin",
    "AsyncFormSetMixin",
    "AsyncImageField",
    "AsyncModelFormMixin",
    "AsyncModelFormSetMixin",
    "ManyFilesMixin",
    "all_or_nothing",
    "upload_errors_told",
    "widget_messages",
]
