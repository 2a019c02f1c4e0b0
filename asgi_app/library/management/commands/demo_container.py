from typing import Any

from azure.storage.blob import CorsRule
from django.core.files.storage import storages
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "Makes the container that the settings name, and lets pages of these origins send to it and read from it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("origins", nargs="+", help="as in http://127.0.0.1:8000")

    def handle(self, *args: Any, origins: list[str], **options: Any) -> None:
        storage: Any = storages["default"]
        if not storage.client.exists():
            storage.client.create_container()
        # With Azure, the rules are those of the whole storage account.
        rule = CorsRule(origins, ["PUT", "GET"], allowed_headers=["*"], max_age_in_seconds=600)
        storage.service_client.set_service_properties(cors=[rule])
