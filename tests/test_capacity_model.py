"""The model of docs/scaling.md: one process as a queue."""

from __future__ import annotations

import pytest

from benchmarks.simulation import Costs, Job, closed_loop, pages, uploads, waits

COSTS = Costs(page=0.003, idle=0.004, ticket=0.002, upload=0.016, piece=0.001, save=0.005)


def test_who_comes_alone_waits_for_nobody() -> None:
    assert waits(pages(COSTS, every=0.1, seconds=1)) == pytest.approx([0.0] * 10)


def test_who_comes_second_waits_for_the_part_under_way_and_for_no_more() -> None:
    upload = Job(0.0, (0.01, 0.01))
    page = Job(0.004, (0.001,), is_watched=True)

    assert waits([upload, page]) == pytest.approx([0.006])


def test_a_page_waits_longer_the_more_uploads_there_are() -> None:
    waited = [
        sum(waits([*pages(COSTS, 0.02, 2), *uploads(COSTS, count, 2, 1, pieces=8)])) for count in (0, 10, 50)
    ]

    assert waited[0] == pytest.approx(0)
    assert waited[0] < waited[1] < waited[2]


def test_as_many_a_second_as_the_cost_allows_however_many_ask() -> None:
    for connections in (1, 32):
        rate, latencies = closed_loop(COSTS.ticket, connections, 2)

        assert rate == pytest.approx(500, rel=0.01)
        assert latencies[-1] == pytest.approx(connections * COSTS.ticket)
