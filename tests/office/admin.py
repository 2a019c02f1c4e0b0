"""As a project writes it that has read nothing about async_uploads and the admin."""

from django.contrib import admin

from tests.office.models import Dossier, Exhibit, Photo


class ExhibitInline(admin.TabularInline):
    model = Exhibit
    extra = 1


class PhotoInline(admin.StackedInline):
    model = Photo
    extra = 1


@admin.register(Dossier)
class DossierAdmin(admin.ModelAdmin):
    list_display = ["title", "file", "sealed"]
    inlines = [ExhibitInline, PhotoInline]


@admin.register(Exhibit)
class ExhibitAdmin(admin.ModelAdmin):
    list_display = ["label", "file", "dossier"]
    readonly_fields = ["file"]
