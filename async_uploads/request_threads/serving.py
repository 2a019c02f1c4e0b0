"""Requests and their threads: taken, given back while nothing is needed of them, and left as they were found."""

from __future__ import annotations

from concurrent.futures import Executor

from asgiref.sync import AsyncToSync, SyncToAsync, ThreadSensitiveContext, sync_to_async
from django.db import connections

from async_uploads.request_threads.pool import RequestThread, RequestThreads


class RequestContext(ThreadSensitiveContext):
    """What one request is served in: its blocking calls run in a thread of ``pool``.

    As asgiref's, which makes a thread for each context, and another one to wait for its end.
    """

    def __init__(self, pool: RequestThreads) -> None:
        super().__init__()
        self._thread = RequestThread(pool)

    async def __aenter__(self) -> RequestContext:
        if SyncToAsync.thread_sensitive_context.get(None) is None:
            self.token = SyncToAsync.thread_sensitive_context.set(self)
            SyncToAsync.context_to_thread_executor[self] = self._thread
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self.token is not None:
            SyncToAsync.context_to_thread_executor.pop(self, None)
            SyncToAsync.thread_sensitive_context.reset(self.token)
            self.token = None
            self._thread.release()


async def release_request_thread() -> None:
    """Give back the thread that the running ASGI request has, and with it the database connection.

    A body may take hours. The next call of ``sync_to_async`` takes a thread anew. Outside an ASGI request (tests, WSGI,
    commands) the thread belongs to somebody else, and nothing happens.
    """
    context, executor = _own_executor()
    if executor is None:
        return
    # Behind a sync middleware the thread waits for us, and its connection is closed at the request's end.
    is_waited_for = getattr(AsyncToSync.executors, "current", None) is not None
    if isinstance(executor, RequestThread) and not is_waited_for:
        executor.release()
        return
    await sync_to_async(connections.close_all)()
    if not is_waited_for and context is not None:
        SyncToAsync.context_to_thread_executor.pop(context, None)
        executor.shutdown(wait=False)


def _own_executor() -> tuple[ThreadSensitiveContext | None, Executor | None]:
    """The context of the running request, and where its blocking calls go, as far as there are any."""
    context = SyncToAsync.thread_sensitive_context.get(None)
    return context, None if context is None else SyncToAsync.context_to_thread_executor.get(context)
