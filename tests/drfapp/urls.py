"""The test project with an API, whose clients bring tokens."""

from adrf.routers import SimpleRouter
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView

from async_uploads.drf.urls import get_url_patterns
from tests.drfapp import views
from tests.testapp.models import second_registry
from tests.urls import urlpatterns as project_urls

router = SimpleRouter()
router.register("volumes", views.VolumeViewSet, basename="volume")
router.register("albums", views.AlbumViewSet, basename="album")
router.register("notes", views.NoteViewSet, basename="note")
router.register("covers", views.CoverViewSet, basename="cover")
router.register("sync-volumes", views.SyncVolumeViewSet, basename="sync-volume")

urlpatterns: list[URLPattern | URLResolver] = [
    *project_urls,
    path("api/", include(router.urls)),
    path("api/shelves/", views.Shelves.as_view()),
    path("api/shelves/<int:pk>/", views.OneShelf.as_view()),
    path("api/schema/", SpectacularAPIView.as_view()),
    path("api/uploads/", include("async_uploads.drf.urls")),
    path("api/elsewhere/", include(get_url_patterns(second_registry))),
]
