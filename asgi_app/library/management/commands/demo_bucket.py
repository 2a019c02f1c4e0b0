from contextlib import suppress
from typing import Any

from django.core.files.storage import storages
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "Makes the bucket that the settings name, and lets pages of these origins send to it and read from it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("origins", nargs="+", help="as in http://127.0.0.1:8000")

    def handle(self, *args: Any, origins: list[str], **options: Any) -> None:
        storage: Any = storages["default"]
        client = storage.connection.meta.client
        with suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=storage.bucket_name)
        rule = {
            "AllowedOrigins": origins,
            "AllowedMethods": ["POST", "GET"],
            "AllowedHeaders": ["*"],
            "MaxAgeSeconds": 600,
        }
        client.put_bucket_cors(Bucket=storage.bucket_name, CORSConfiguration={"CORSRules": [rule]})
