"""The forms, as docs/forms.md tells to write them."""

from __future__ import annotations

from typing import Any

from django import forms

from async_uploads.forms import AsyncModelFormMixin, AsyncModelFormSetMixin, ManyFilesMixin
from tests.pages.models import Attachment, Story


class StoryForm(AsyncModelFormMixin, forms.ModelForm):
    class Meta:
        model = Story
        fields = ["title", "text", "picture", "tags"]


class BaseAttachments(ManyFilesMixin, AsyncModelFormSetMixin, forms.BaseInlineFormSet):
    pass


Attachments: Any = forms.inlineformset_factory(
    Story,
    Attachment,
    formset=BaseAttachments,
    fields=["file"],
    extra=2,
    max_num=8,
    validate_max=True,
    can_delete_extra=False,
)
