from django.contrib import admin

from tests.testapp.models import Document

admin.site.register(Document)
