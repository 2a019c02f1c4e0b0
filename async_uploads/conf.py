"""The settings of the package: one dict, ``ASYNC_UPLOADS``, read whenever a value is asked for."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeAlias, TypeVar, overload

from django.conf import settings as django_settings

T = TypeVar("T")

SETTINGS_NAME = "ASYNC_UPLOADS"
INLINE_PROMOTION = "async_uploads.promotion.promote_inline"
Sendfile: TypeAlias = Literal["x-accel-redirect", "x-sendfile"]
DEFAULT_INLINE_TYPES = (
    "image/png",
    "image/jpeg",
    "image/gif",
    "image/webp",
    "image/avif",
    "application/pdf",
    "text/plain",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "video/mp4",
    "video/webm",
    "video/ogg",
)


class Setting(Generic[T]):
    """One key of ``ASYNC_UPLOADS`` and its default."""

    def __init__(self, default: T) -> None:
        self.default = default

    def __set_name__(self, owner: type[UploadSettings], name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type[UploadSettings]) -> Setting[T]: ...

    @overload
    def __get__(self, instance: UploadSettings, owner: type[UploadSettings]) -> T: ...

    def __get__(self, instance: UploadSettings | None, owner: type[UploadSettings]) -> Setting[T] | T:
        if instance is None:
            return self
        value: T = configured().get(self.name, self.default)
        return value


def configured() -> dict[str, Any]:
    """The dict that the project has set, empty if it has set none."""
    return getattr(django_settings, SETTINGS_NAME, None) or {}


class UploadSettings:
    """Typed access to every setting. Times are seconds and sizes bytes unless said otherwise."""

    UPLOAD_URL_EXPIRY = Setting[int](3600)
    DOWNLOAD_URL_EXPIRY = Setting[int](3600)
    TEMP_FILE_MAX_AGE = Setting[float](48)
    """Hours after which an upload that no record took is swept."""
    PROGRESS_INTERVAL = Setting[float](0.1)
    CHUNK_SIZE = Setting[int](1024 * 1024)
    IDLE_TIMEOUT = Setting[float](30)
    """Seconds that may pass between two chunks of a body."""
    UPLOAD_TIMEOUT = Setting[float | None](6 * 3600)
    """Seconds that a body may take in all; None for as long as it goes on arriving."""
    MAX_PENDING_PER_OWNER = Setting[int](100)
    MAX_PENDING_PER_ADDRESS = Setting[int | None](1000)
    """Unfinished uploads of the anonymous visitors of one address, who may drop their cookies. None: any number."""
    SOCKET_MAX_SUBSCRIPTIONS = Setting[int](200)
    SOCKET_MESSAGE_RATE = Setting[float](50)
    """Messages a second that a status socket may send; of two seconds at once."""
    SOCKET_SEND_TIMEOUT = Setting[float](20)
    """Seconds after which a status socket is closed that does not read what it is sent."""
    CLIENT_ADDRESS = Setting[str | None](None)
    MAX_IMAGE_PIXELS = Setting[int | None](None)
    """None: as many as Pillow takes (``PIL.Image.MAX_IMAGE_PIXELS``)."""
    PROMOTION_DISPATCHER = Setting[str](INLINE_PROMOTION)
    PROMOTION_MAX_ATTEMPTS = Setting[int](5)
    RESOLVE_PERM_NAME = Setting[str | None](None)
    INLINE_TYPES = Setting[tuple[str, ...] | list[str]](DEFAULT_INLINE_TYPES)
    SENDFILE = Setting[Sendfile | None](None)
    VALIDATION_TIMEOUT = Setting[float](30)
    """Seconds that all ``upload_validators`` of a field together may take for one file."""
    THROTTLE = Setting[str | None](None)

    @classmethod
    def names(cls) -> list[str]:
        return sorted(name for name, value in vars(cls).items() if isinstance(value, Setting))


upload_settings: UploadSettings = UploadSettings()


def download_url_expiry(own: int | None) -> int:
    """Seconds: DOWNLOAD_URL_EXPIRY where the project has set it, else a storage's ``own`` setting, else the default."""
    if own is None or "DOWNLOAD_URL_EXPIRY" in configured():
        return upload_settings.DOWNLOAD_URL_EXPIRY
    return int(own)
