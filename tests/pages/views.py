"""A form and its formset, saved together by an async view; the same form in other packages' dress."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import aget_object_or_404, redirect, render

from async_uploads.forms import all_or_nothing
from tests.pages.forms import Attachments, StoryForm
from tests.pages.models import Story

arender = sync_to_async(render)


async def edit_story(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    story = Story() if pk is None else await aget_object_or_404(Story, pk=pk)
    data, files = request.POST or None, request.FILES or None
    form = await StoryForm.abuild(data, files, instance=story)
    attachments: Any = await Attachments.abuild(data, files, instance=story, prefix="attachments")
    if await form.ais_valid() and await attachments.ais_valid():
        with suppress(ValidationError):
            await sync_to_async(save_together)(form, attachments)
            return redirect("story", story.pk)
    return await arender(request, "pages/edit.html", {"form": form, "attachments": attachments})


def save_together(form: Any, attachments: Any) -> None:
    with all_or_nothing(Story, [form.instance]):
        form.save()
        attachments.save()


async def story(request: HttpRequest, pk: int) -> HttpResponse:
    shown = await aget_object_or_404(Story, pk=pk)
    attachments = [one async for one in shown.attachments.all()]
    return await arender(request, "pages/story.html", {"story": shown, "attachments": attachments})


async def styled(request: HttpRequest, template: str) -> HttpResponse:
    form = StoryForm(request.POST or None, request.FILES or None)
    if await form.ais_valid():
        return redirect("story", (await form.asave()).pk)
    return await arender(request, template, {"form": form})
