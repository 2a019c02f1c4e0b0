"""The composition root: which connection goes where."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

from async_uploads.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "asgi_app.settings")

# Django's handler, but bodies of uploads arrive as streams. Made first: it loads the apps, which routes need.
django_application = get_asgi_application()

from async_uploads.routing import websocket_urlpatterns  # noqa: E402

application = ProtocolTypeRouter(
    {
        # Answers /static/ itself and passes every other request on untouched, bodies included, so the demo
        # needs no file server. In production let nginx, a CDN or WhiteNoise serve static files.
        "http": ASGIStaticFilesHandler(django_application),
        # At a restart, uploads under way are wound up, and connections to S3 or Azure closed.
        "lifespan": django_application,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
