"""What the watchers of uploads are told."""

from __future__ import annotations

from typing import Any, Self
from unittest.mock import patch

from channels.layers import get_channel_layer

from async_uploads import events


class StatusRecorder:
    """Records each status that this process publishes while it is entered, whether or not anybody watches.

    ``statuses`` are the messages as browsers get them; ``states`` of one key without its repetitions.
    """

    def __init__(self) -> None:
        self.statuses: list[dict[str, Any]] = []
        self._patch = patch.object(events, "get_channel_layer", self._layer)

    def states(self, key: str) -> list[str]:
        """The states that ``key`` went through, in their order: ``["uploaded", "promoting", "promoted"]``"""
        found: list[str] = []
        for status in self.statuses:
            if status["key"] == key and status["state"] not in found[-1:]:
                found.append(status["state"])
        return found

    def __enter__(self) -> Self:
        self._patch.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._patch.stop()

    def _layer(self) -> _RecordingLayer:
        return _RecordingLayer(self.statuses, get_channel_layer())


class _RecordingLayer:
    """The project's channel layer, overheard."""

    def __init__(self, statuses: list[dict[str, Any]], layer: Any) -> None:
        self._statuses = statuses
        self._layer = layer

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        if message["type"] == events.MESSAGE_TYPE:
            self._statuses.append(message["status"])
        if self._layer is not None:
            await self._layer.group_send(group, message)
