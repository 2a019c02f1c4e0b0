from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from async_uploads.registry import default_async_field_registry

urlpatterns = [
    path("", include("asgi_app.library.urls")),
    path("api/", include("asgi_app.library.api_urls")),
    path("async-uploads/", default_async_field_registry.get_url_patterns()),
    path("accounts/login/", LoginView.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url=static("library/favicon.svg"))),
    path("i18n/", include("django.conf.urls.i18n")),
]
