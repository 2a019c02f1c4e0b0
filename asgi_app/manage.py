"""Django's command line: `python asgi_app/manage.py …`, or `python -m asgi_app.manage …`."""

import os
import sys
from pathlib import Path

from django.core.management import execute_from_command_line


def main() -> None:
    # Python puts this file's own folder on the path; the package `asgi_app` is found one folder higher.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asgi_app.settings")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
