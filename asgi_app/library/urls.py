from django.urls import path

from asgi_app.library import views

urlpatterns = [
    path("", views.documents, name="documents"),
    path("documents/new/", views.create_document, name="create-document"),
    path("documents/<int:pk>/", views.document, name="document"),
    path("documents/<int:pk>/edit/", views.edit_document, name="edit-document"),
    path("documents/<int:pk>/delete/", views.delete_document, name="delete-document"),
    path("uploads/", views.uploads, name="uploads"),
    path("uploads/list/", views.uploads_list, name="uploads-list"),
    path("contracts/", views.contracts, name="contracts"),
    path("contracts/new/", views.create_contract, name="create-contract"),
]
