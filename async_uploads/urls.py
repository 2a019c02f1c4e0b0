"""The URLconf that ``registry.get_url_patterns()`` includes, with the registry as an extra argument of each view."""

from django.urls import URLPattern, path

from async_uploads import views

urlpatterns: list[URLPattern] = [
    path("generate-upload-url/", views.GenerateUploadUrlView.as_view(), name="generate-upload-url"),
    path("complete-upload/", views.CompleteUploadView.as_view(), name="complete-upload"),
    path("cancel-upload/", views.CancelUploadView.as_view(), name="cancel-upload"),
    path("upload-status/", views.UploadStatusView.as_view(), name="upload-status"),
    path("download-file/", views.DownloadRedirectView.as_view(), name="download-file"),
    path("upload-file-direct/", views.UploadDirectView.as_view(), name="upload-file-direct"),
    path("download-file-direct/", views.DownloadDirectView.as_view(), name="download-file-direct"),
]
