from django.contrib import admin
from django.urls import path

from async_uploads.registry import default_async_field_registry
from tests.testapp.models import second_registry

urlpatterns = [
    path("admin/", admin.site.urls),
    path("async-uploads/", default_async_field_registry.get_url_patterns()),
    path("elsewhere/", second_registry.get_url_patterns()),
]
