from django.urls import include, path
from rest_framework.authtoken.views import obtain_auth_token

from asgi_app.library import api

urlpatterns = [
    path("", api.Root.as_view(), name="api"),
    path("documents/", api.Documents.as_view(), name="api-documents"),
    path("documents/<int:pk>/", api.OneDocument.as_view(), name="api-document"),
    path("attachments/", api.Attachments.as_view(), name="api-attachments"),
    path("attachments/<int:pk>/", api.OneAttachment.as_view(), name="api-attachment"),
    # For clients that bring a token: what the widget's requests are for pages.
    path("uploads/", include("async_uploads.drf.urls")),
    path("token/", obtain_auth_token, name="api-token"),
    path("schema/", api.Schema.as_view(), name="api-schema"),
]
