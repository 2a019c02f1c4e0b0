"""The state machine of an upload: which moves there are, and who wins when two make one at once."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from django.db.models import Q

from async_uploads.exceptions import UploadStateError
from async_uploads.models import AsyncTempFile
from async_uploads.owners import Owner
from async_uploads.temp_files import State

pytestmark = pytest.mark.django_db

GIVEN_UP = ["failed", "cancelled", "expired"]
LEADS_TO = {
    "pending": ["uploading", "uploaded", *GIVEN_UP],
    "uploading": ["pending", "uploading", "uploaded", *GIVEN_UP],
    "uploaded": ["promoting", *GIVEN_UP],
    "promoting": ["promoting", "promoted", *GIVEN_UP],
    "failed": ["promoting", "expired"],
    "promoted": [],
    "cancelled": [],
    "expired": [],
}
ALL_MOVES = list(itertools.product(LEADS_TO, LEADS_TO))
ALLOWED = [(start, end) for start, end in ALL_MOVES if end in LEADS_TO[start]]
REFUSED = [(start, end) for start, end in ALL_MOVES if end not in LEADS_TO[start]]


def temp_file_in(state: str, **columns: object) -> AsyncTempFile:
    return AsyncTempFile.objects.create(
        key=f"async-temp-files/{state}", model="testapp.document", field_name="file", state=state, **columns
    )


def test_every_state_has_its_moves() -> None:
    assert set(LEADS_TO) == set(State.values)


@pytest.mark.parametrize(("start", "end"), ALLOWED)
def test_an_allowed_move_is_written(start: str, end: str) -> None:
    temp_file = temp_file_in(start)

    temp_file.move(State(end))

    assert temp_file.state == end
    temp_file.refresh_from_db()
    assert temp_file.state == end


@pytest.mark.parametrize(("start", "end"), REFUSED)
def test_a_refused_move_says_why_and_writes_nothing(start: str, end: str) -> None:
    temp_file = temp_file_in(start)

    with pytest.raises(UploadStateError, match=f"expected a state that leads to {end}, was {start}"):
        temp_file.move(State(end))

    temp_file.refresh_from_db()
    assert (temp_file.state, temp_file.version) == (start, 0)


def test_of_two_movers_the_slower_learns_what_the_faster_did() -> None:
    faster = temp_file_in("uploaded")
    slower = AsyncTempFile.objects.get(pk=faster.pk)
    faster.move(State.PROMOTING, record_pk="1")

    with pytest.raises(
        UploadStateError, match=r"expected uploaded \(version 0\), was promoting \(version 1\)"
    ):
        slower.move(State.CANCELLED)

    assert (slower.state, slower.record_pk) == ("promoting", "1")
    assert AsyncTempFile.objects.get(pk=faster.pk).state == "promoting"


def test_a_row_that_left_its_state_and_came_back_is_not_the_same() -> None:
    known = temp_file_in("pending")
    other = AsyncTempFile.objects.get(pk=known.pk)
    other.move(State.UPLOADING)
    other.move(State.PENDING)

    with pytest.raises(UploadStateError, match=r"expected pending \(version 0\), was pending \(version 2\)"):
        known.move(State.UPLOADING)


def test_a_condition_that_is_not_met_stops_the_move() -> None:
    temp_file = temp_file_in("uploaded", record_pk="7")

    with pytest.raises(UploadStateError):
        temp_file.move(State.CANCELLED, where=Q(record_pk=""))

    temp_file.refresh_from_db()
    assert temp_file.state == "uploaded"


def test_a_row_that_has_gone_counts_as_expired() -> None:
    temp_file = temp_file_in("uploaded")
    AsyncTempFile.objects.all().delete()

    with pytest.raises(UploadStateError):
        temp_file.move(State.PROMOTING)

    assert temp_file.state == "expired"


def test_a_move_writes_its_other_columns_and_the_time_with_it() -> None:
    temp_file = temp_file_in("pending", updated_at=datetime(2020, 1, 1, tzinfo=UTC))

    temp_file.move(State.FAILED, error_code="file_too_large", error="Too large.")

    stored = AsyncTempFile.objects.get(pk=temp_file.pk)
    assert (stored.error_code, stored.error) == ("file_too_large", "Too large.")
    assert stored.updated_at == temp_file.updated_at
    assert stored.updated_at.year > 2020


def test_the_number_of_an_event_grows_with_bytes_and_with_each_move() -> None:
    temp_file = temp_file_in("pending")
    numbers = [temp_file.seq]
    temp_file.move(State.UPLOADING)
    for received in (1, 1000, 2**39):
        numbers.append(temp_file.seq)
        temp_file.received = received
    numbers.append(temp_file.seq)
    temp_file.move(State.PENDING, received=0)
    numbers.append(temp_file.seq)

    assert numbers == sorted(set(numbers))


@pytest.mark.django_db(transaction=True)
async def test_the_async_form_moves_too() -> None:
    temp_file = await AsyncTempFile.objects.acreate(
        key="async-temp-files/a", model="testapp.document", field_name="file"
    )

    await temp_file.amove(State.UPLOADED, size=3)

    stored = await AsyncTempFile.objects.aget()
    assert (stored.state, stored.size, stored.version) == ("uploaded", 3, 1)


def test_only_checked_bytes_may_be_read() -> None:
    readable = {state for state in LEADS_TO if AsyncTempFile(state=state).is_readable}

    assert readable == {"uploaded", "promoting"}


def test_bytes_kept_by_a_failed_promotion_may_be_read() -> None:
    assert AsyncTempFile(state="failed", error_code="promotion_failed").is_readable


def test_uploads_belong_to_the_user_and_the_session_that_asked() -> None:
    by_user = temp_file_in("uploaded", owner="user:1")
    by_session = temp_file_in("pending", owner="session:abc")
    temp_file_in("failed", owner="user:2")
    temp_file_in("expired", owner="")

    owned = AsyncTempFile.objects.owned_by(Owner(user="user:1", session="session:abc"))

    assert set(owned) == {by_user, by_session}
    assert not AsyncTempFile.objects.owned_by(Owner()).exists()


def test_a_row_of_another_database_with_the_same_number_is_left_alone() -> None:
    temp_file = temp_file_in("pending")
    AsyncTempFile.objects.update(key="async-temp-files/of-another-tenant")

    with pytest.raises(UploadStateError):
        temp_file.move(State.UPLOADING)

    assert AsyncTempFile.objects.get().state == "pending"
