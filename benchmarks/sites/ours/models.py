from django.db import models

from async_uploads.models import AsyncFileField


class Paper(models.Model):
    title = models.CharField(max_length=100)
    file = AsyncFileField(upload_to="papers", perm_create="ours.add_paper", max_size=5000)
    open_file = AsyncFileField(upload_to="papers", perm_create=None, max_size=5000, blank=True)

    def __str__(self) -> str:
        return self.title
