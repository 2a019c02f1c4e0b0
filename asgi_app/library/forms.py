"""Plain Django forms: an AsyncFileField of a model brings the uploading widget with it.

The mixins tell a save that comes too late: when somebody else has just used the same upload, the form has the error.
"""

from django import forms

from asgi_app.library.models import Attachment, Contract, Document
from async_uploads.forms import AsyncModelFormMixin, AsyncModelFormSetMixin, ManyFilesMixin


class DocumentForm(AsyncModelFormMixin, forms.ModelForm):
    class Meta:
        model = Document
        fields = ["title", "file", "cover", "description"]
        widgets = {
            "title": forms.TextInput(attrs={"dir": "auto"}),
            "description": forms.Textarea(attrs={"dir": "auto", "rows": 4}),
        }


class ContractForm(AsyncModelFormMixin, forms.ModelForm):
    class Meta:
        model = Contract
        fields = ["title", "partner", "file"]


class BaseAttachments(ManyFilesMixin, AsyncModelFormSetMixin, forms.BaseInlineFormSet):
    """Many files are chosen or dropped at once, each gets a row of its own."""


AttachmentFormSet = forms.inlineformset_factory(
    Document,
    Attachment,
    formset=BaseAttachments,
    fields=["file"],
    extra=2,  # for people without JavaScript
    max_num=20,
    validate_max=True,
    can_delete_extra=False,
)
