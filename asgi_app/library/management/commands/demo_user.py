from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand

USERNAME = "demo"
# No secret: it is printed, and the demo listens on the loopback address only.
PASSWORD = "demo"  # nosec B105  # public on purpose


class Command(BaseCommand):
    help = "Creates the superuser of the demo, unless it is there already, and prints its name and password."

    def handle(self, *args: Any, **options: Any) -> None:
        if not User.objects.filter(username=USERNAME).exists():
            User.objects.create_superuser(USERNAME, "", PASSWORD)
        self.stdout.write(f"Log in as {USERNAME} with password {PASSWORD}.")
