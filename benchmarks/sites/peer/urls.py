import json

from alliance_platform.storage.async_uploads.registry import default_async_field_registry
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from benchmarks.sites import pages
from benchmarks.sites.peer.models import Paper


@csrf_exempt
def save(request: HttpRequest) -> HttpResponse:
    """Save a paper whose file has been uploaded to ``key``."""
    paper = Paper.objects.create(title="Paper", file=json.loads(request.body)["key"])
    return JsonResponse({"file": str(paper.file)}, status=201)


urlpatterns = [
    *pages.urlpatterns,
    path("save/", save),
    path("uploads/", include(default_async_field_registry.get_url_patterns())),
]
