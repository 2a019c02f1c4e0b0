"""The pages. Views are async; what Django offers only in sync form (forms, templates that read the
session) runs in a thread as one piece of work, not as many small hops.
"""

from contextlib import suppress

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.contrib.auth.decorators import login_required, permission_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import aget_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from asgi_app.library.forms import AttachmentFormSet, ContractForm, DocumentForm
from asgi_app.library.models import Contract, Document, may_change_document
from async_uploads.exceptions import StorageUnavailable, UploadKeyError
from async_uploads.forms import all_or_nothing
from async_uploads.models import AsyncTempFile
from async_uploads.owners import aowner_of_request

UPLOADS_SHOWN = 50

# The page's header asks for the user and the messages, and both read the session: in sync code.
arender = sync_to_async(render)


# Documents: open to everyone


@require_GET
async def documents(request: HttpRequest) -> HttpResponse:
    found = Document.objects.select_related("owner")
    context = {"documents": [document async for document in found]}
    return await arender(request, "library/documents.html", context)


@require_GET
async def document(request: HttpRequest, pk: int) -> HttpResponse:
    shown = await aget_object_or_404(Document.objects.select_related("owner"), pk=pk)
    context = {
        "document": shown,
        "size": await size_of(shown),
        "attachments": [attachment async for attachment in shown.attachments.all()],
        "may_change": may_change_document(await request.auser(), shown),
    }
    return await arender(request, "library/document.html", context)


async def size_of(document: Document) -> int | None:
    """In bytes; a page can do without, where the storage cannot tell it."""
    try:
        return await document.file.asize()
    except (FileNotFoundError, StorageUnavailable):
        return None


async def create_document(request: HttpRequest) -> HttpResponse:
    user = await request.auser()
    return await document_form(request, Document(owner=user if user.is_authenticated else None))


async def edit_document(request: HttpRequest, pk: int) -> HttpResponse:
    return await document_form(request, await changeable_document(request, pk))


@sync_to_async
def document_form(request: HttpRequest, document: Document) -> HttpResponse:
    """Show and save the form. The files are in storage already: their keys are what is posted."""
    form = DocumentForm(request.POST or None, request.FILES or None, instance=document)
    attachments = AttachmentFormSet(
        request.POST or None, request.FILES or None, instance=document, prefix="attachments"
    )
    if request.method == "POST" and all([form.is_valid(), attachments.is_valid()]):
        # Somebody was quicker to use one of the uploads: the form has the error and is shown again.
        with suppress(UploadKeyError):
            # Rolled back together; the uploads stay usable and the person can submit again.
            with all_or_nothing(Document, [document]):
                form.save()
                attachments.save()
            messages.success(request, _("“%s” is in the library.") % document)
            return redirect(document)
    return render(request, "library/document_form.html", {"form": form, "attachments": attachments})


async def delete_document(request: HttpRequest, pk: int) -> HttpResponse:
    document = await changeable_document(request, pk)
    if request.method != "POST":
        return await arender(request, "library/document_delete.html", {"document": document})
    # Its files go after the commit. A storage that is away keeps nobody from it: files that stay behind are logged.
    await document.adelete()
    await sync_to_async(messages.success)(request, _("“%s” is deleted.") % document)
    return redirect("documents")


async def changeable_document(request: HttpRequest, pk: int) -> Document:
    document = await aget_object_or_404(Document, pk=pk)
    if not may_change_document(await request.auser(), document):
        raise PermissionDenied
    return document


# Uploads of this visitor: the page is rendered here, and kept up to date by static/library/uploads.js


@require_GET
@never_cache
async def uploads(request: HttpRequest) -> HttpResponse:
    return await arender(request, "library/uploads.html", {"uploads": await latest_uploads(request)})


@require_GET
@never_cache
async def uploads_list(request: HttpRequest) -> HttpResponse:
    """Only the list, for the script to put in the place of the one on the page."""
    return await arender(request, "library/uploads_list.html", {"uploads": await latest_uploads(request)})


async def latest_uploads(request: HttpRequest) -> list[AsyncTempFile]:
    owned = AsyncTempFile.objects.owned_by(await aowner_of_request(request))
    return [upload async for upload in owned.order_by("-created_at")[:UPLOADS_SHOWN]]


# Contracts: guarded by Django's permissions, as are the uploads to their field


@require_GET
@login_required
@permission_required("library.view_contract", raise_exception=True)
async def contracts(request: HttpRequest) -> HttpResponse:
    context = {"contracts": [contract async for contract in Contract.objects.all()]}
    return await arender(request, "library/contracts.html", context)


@login_required
@permission_required("library.add_contract", raise_exception=True)
async def create_contract(request: HttpRequest) -> HttpResponse:
    return await contract_form(request)


@sync_to_async
def contract_form(request: HttpRequest) -> HttpResponse:
    form = ContractForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        with suppress(UploadKeyError):
            contract = form.save()
            messages.success(request, _("“%s” is filed.") % contract)
            return redirect(contract)
    return render(request, "library/contract_form.html", {"form": form})
