"""The sites under an ASGI server: ours by its own handler, the others by Django's."""

import gc
import os

from django.core.asgi import get_asgi_application as djangos

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.sites.settings"

if os.environ.get("BENCH_SITE", "ours") != "ours":
    application = djangos()
else:
    from async_uploads.asgi import get_asgi_application

    threads = os.environ.get("BENCH_THREADS")
    handler = get_asgi_application(threads=int(threads)) if threads else get_asgi_application()

    from channels.auth import AuthMiddlewareStack
    from channels.routing import ProtocolTypeRouter, URLRouter

    from async_uploads.routing import websocket_urlpatterns

    application = ProtocolTypeRouter(
        {
            "http": handler,
            "lifespan": handler,
            "websocket": AuthMiddlewareStack(URLRouter(websocket_urlpatterns)),
        }
    )

# As docs/deployment.md advises: what is there from the start is not looked through again and again.
gc.collect()
gc.freeze()
if os.environ.get("BENCH_SITE", "ours") == "ours":
    # Nor is the rest each time that there is a quarter more of it. The peer would run out of connections to PostgreSQL:
    # those of Django's threads, a new one for each request, are closed by the garbage collector.
    gc.set_threshold(700, 10, 100)
