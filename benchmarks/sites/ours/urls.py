import json

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from async_uploads.registry import default_async_field_registry
from benchmarks.sites import pages
from benchmarks.sites.ours.models import Paper


@csrf_exempt
async def save(request: HttpRequest) -> HttpResponse:
    """Save a paper whose file has been uploaded to ``key``."""
    paper = await Paper.objects.acreate(title="Paper", file=json.loads(request.body)["key"])
    return JsonResponse({"file": str(paper.file)}, status=201)


urlpatterns = [
    *pages.urlpatterns,
    path("save/", save),
    path("uploads/", default_async_field_registry.get_url_patterns()),
]
