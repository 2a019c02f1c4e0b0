"""The URLs of the package's views, each looked up once."""

from __future__ import annotations

from functools import lru_cache

from django.urls import URLResolver, get_resolver, get_script_prefix, get_urlconf, reverse
from django.utils.translation import get_language


def view_url(view: str, namespace: str | None) -> str:
    """As ``reverse`` of ``async_uploads:<view>``, in the instance of the URLconf that is named for the registry.

    Raises NoReverseMatch.
    """
    # What the answer depends on; a URLconf that is loaded anew has another resolver.
    return _reversed(view, namespace, get_resolver(get_urlconf()), get_script_prefix(), get_language())


@lru_cache(maxsize=256)
def _reversed(
    view: str, namespace: str | None, resolver: URLResolver, prefix: str, language: str | None
) -> str:
    return reverse(f"async_uploads:{view}", current_app=namespace)
