from django.urls import path

from async_uploads.registry import default_async_field_registry
from tests.pages import views

urlpatterns = [
    path("async-uploads/", default_async_field_registry.get_url_patterns()),
    path("stories/new/", views.edit_story),
    path("stories/<int:pk>/edit/", views.edit_story),
    path("stories/<int:pk>/", views.story, name="story"),
    path("crispy/", views.styled, {"template": "pages/crispy.html"}),
    path("tweaks/", views.styled, {"template": "pages/tweaks.html"}),
    path("as-p/", views.styled, {"template": "pages/as_p.html"}),
    path("without-enctype/", views.styled, {"template": "pages/without_enctype.html"}),
]
