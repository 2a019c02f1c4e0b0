from django.urls import include, path

from benchmarks.sites import pages

urlpatterns = [*pages.urlpatterns, path("uploads/", include("django_file_form.urls"))]
