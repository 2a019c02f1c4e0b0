from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from benchmarks.sites import pages
from benchmarks.sites.plain.models import Paper


@csrf_exempt
def upload(request: HttpRequest) -> HttpResponse:
    """A form with a file, sent as a whole."""
    paper = Paper.objects.create(title="Paper", file=request.FILES["file"])
    return JsonResponse({"file": str(paper.file)}, status=201)


urlpatterns = [*pages.urlpatterns, path("upload/", upload)]
