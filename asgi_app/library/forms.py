"""Plain Django forms: an AsyncFileField of a model brings the uploading widget with it."""

from django import forms

from asgi_app.library.models import Attachment, Contract, Document


class DocumentForm(forms.ModelForm):
    class Meta:
        model = Document
        fields = ["title", "file", "cover", "description"]
        widgets = {
            "title": forms.TextInput(attrs={"dir": "auto"}),
            "description": forms.Textarea(attrs={"dir": "auto", "rows": 4}),
        }


class ContractForm(forms.ModelForm):
    class Meta:
        model = Contract
        fields = ["title", "partner", "file"]


AttachmentFormSet = forms.inlineformset_factory(
    Document, Attachment, fields=["file"], extra=1, can_delete_extra=False
)
