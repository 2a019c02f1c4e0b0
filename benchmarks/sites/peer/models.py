from alliance_platform.storage.async_uploads.models import AsyncFileField
from django.db import models


class Paper(models.Model):
    title = models.CharField(max_length=100)
    file = AsyncFileField(
        upload_to="papers", perm_create="peer.add_paper", perm_update=None, perm_detail=None, max_size=5000
    )

    def __str__(self) -> str:
        return self.title
