from django.contrib import admin

from asgi_app.library.models import Attachment, Contract, Document


class AttachmentInline(admin.TabularInline):
    model = Attachment
    extra = 0


@admin.register(Document)
class DocumentAdmin(admin.ModelAdmin):
    inlines = [AttachmentInline]
    list_display = ["title", "owner", "created_at"]
    readonly_fields = ["cover_width", "cover_height"]
    search_fields = ["title", "description"]


@admin.register(Contract)
class ContractAdmin(admin.ModelAdmin):
    list_display = ["title", "partner", "created_at"]
    search_fields = ["title", "partner"]
