"""Another page of each site: what a visitor asks for while others upload. A session, a user and a query."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path


def page(request: HttpRequest) -> HttpResponse:
    name: Any = request.user.get_username()
    return HttpResponse(f"<!doctype html><title>Papers</title><p>Hello {name}")


urlpatterns = [path("page/", page)]
