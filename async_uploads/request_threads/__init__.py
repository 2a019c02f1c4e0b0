"""Threads for requests: used again, each with the database connections that it has opened.

Under Django's own ASGI handler each request gets a new thread, and with it a new connection, whatever is set as
``CONN_MAX_AGE``. Here a request has a thread to itself as there, from its first blocking call to its end, and then the
thread goes to another one, as under a WSGI server with threads.
"""

from async_uploads.request_threads.pool import RequestThreads
from async_uploads.request_threads.serving import RequestContext, release_request_thread

__all__ = ["RequestContext", "RequestThreads", "release_request_thread"]
