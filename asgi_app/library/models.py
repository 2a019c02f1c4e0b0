from pathlib import PurePath

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from async_uploads.models import AsyncFileField, AsyncImageField

Visitor = AbstractBaseUser | AnonymousUser


def may_change_document(user: Visitor, document: "Document | None") -> bool:
    """A document belongs to whoever was logged in when adding it; what a visitor added, anyone may change."""
    if document is None or document.owner_id is None:
        return True
    return document.owner_id == user.pk or getattr(user, "is_superuser", False)


async def may_change_attachment(user: Visitor, attachment: "Attachment | None") -> bool:
    """Whoever may change the document may change what is attached to it."""
    if attachment is None:
        return True
    return may_change_document(user, await Document.objects.aget(pk=attachment.document_id))


class Document(models.Model):
    """Open to everyone: the fields' `None` lets visitors upload and download without logging in.

    A file that is replaced goes, and all go with their document, once the change is committed: `delete_replaced`.
    """

    title = models.CharField(_("title"), max_length=200)
    description = models.TextField(_("description"), blank=True)
    file = AsyncFileField(
        _("file"),
        upload_to="documents/%Y/%m/",
        max_size=1024,
        perm_create=None,
        perm_update=may_change_document,
        perm_detail=None,
        delete_replaced="on_commit",
    )
    cover = AsyncImageField(
        _("cover"),
        upload_to="covers/%Y/%m/",
        max_size=20,
        blank=True,
        width_field="cover_width",
        height_field="cover_height",
        help_text=_("A picture to recognise it by, up to 20 MiB."),
        perm_create=None,
        perm_update=may_change_document,
        perm_detail=None,
        delete_replaced="on_commit",
    )
    # Measured on the stored bytes by promotion; pages reserve the right room for the image by them.
    cover_width = models.PositiveIntegerField(null=True, editable=False)
    cover_height = models.PositiveIntegerField(null=True, editable=False)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, verbose_name=_("owner"), on_delete=models.SET_NULL, null=True, blank=True
    )
    created_at = models.DateTimeField(_("added"), auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = _("document")
        verbose_name_plural = _("documents")

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("document", args=[self.pk])

    @property
    def kind(self) -> str:
        """`PDF` for report.pdf: stands on the card of a document without a cover."""
        return PurePath(self.file.name or "").suffix[1:5].upper()


class Attachment(models.Model):
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="attachments")
    file = AsyncFileField(
        _("attachment"),
        upload_to="attachments/%Y/%m/",
        perm_create=None,
        perm_update=may_change_attachment,
        perm_detail=None,
        delete_replaced="on_commit",
    )

    class Meta:
        ordering = ["pk"]
        verbose_name = _("attachment")
        verbose_name_plural = _("attachments")

    def __str__(self) -> str:
        return PurePath(self.file.name or "").name


class Contract(models.Model):
    """Guarded: the field has the default permissions, Django's own `add_contract`, `change_` and `view_`."""

    title = models.CharField(_("title"), max_length=200)
    partner = models.CharField(_("partner"), max_length=200)
    file = AsyncFileField(
        _("signed copy"),
        upload_to="contracts/%Y/%m/",
        file_restrictions=[".pdf", "image/*"],
        # What was signed is kept: delete_replaced="keep" is the default.
    )
    created_at = models.DateTimeField(_("added"), auto_now_add=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        verbose_name = _("contract")
        verbose_name_plural = _("contracts")

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("contracts")
