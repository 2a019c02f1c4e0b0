"""What the system checks find of ours."""

from __future__ import annotations

from django.core import checks


def found(*, deploy: bool = False) -> dict[str, list[checks.CheckMessage]]:
    """What ``manage.py check`` finds of ours, by id."""
    messages: dict[str, list[checks.CheckMessage]] = {}
    for message in checks.run_checks(include_deployment_checks=deploy):
        if str(message.id).startswith("async_uploads."):
            messages.setdefault(str(message.id), []).append(message)
    return messages


def the_only(check_id: str) -> checks.CheckMessage:
    messages = found()
    assert list(messages) == [check_id]
    (message,) = messages[check_id]
    assert message.hint
    return message
