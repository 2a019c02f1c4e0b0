"""How many upload URLs a second one worker hands out, to users who are logged in.

32 connections ask over and over, each time another user's: session, user, permission and the row of the upload. Ours is
asked by POST, as its widget does, the peer by GET, as its own does.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial

from benchmarks.measuring.loading import Answers, Request, closed_loop, in_own_process
from benchmarks.measuring.processes import settle
from benchmarks.measuring.results import Metrics, Result, Verdict
from benchmarks.measuring.rounds import Options, alternate, main
from benchmarks.measuring.sites import Site, gunicorn, site, uvicorn
from tests.servers.postgresql import running_postgresql

CONNECTIONS = 32
VISITORS = 400
"""No user may have more than a hundred unfinished uploads (MAX_PENDING_PER_OWNER), which are counted each time."""

DATABASES = ("SQLite", "PostgreSQL")
CONTENDERS = (
    ("async_uploads", "ours", uvicorn),
    ("peer on uvicorn", "peer", uvicorn),
    ("peer on gunicorn", "peer", gunicorn),
)


def measure(options: Options) -> Result:
    result = Result(
        "tickets",
        f"Upload URLs a second, {CONNECTIONS} connections, one worker",
        ["requests/s", "p50 ms", "p99 ms", "server CPU ms"],
    )
    for database in DATABASES:
        with ExitStack() as stack:
            environment = {}
            if database == "PostgreSQL":
                folder = options.folder / "postgresql"
                folder.mkdir()
                stack.enter_context(running_postgresql(folder))
                environment["BENCH_DATABASE"] = str(folder)
            runs = {}
            for name, kind, command in CONTENDERS:
                one = stack.enter_context(
                    site(kind, command, options.folder, visitors=VISITORS, environment=environment)
                )
                asked = requests_for(one, kind)
                runs[f"{name}, {database}"] = partial(_run, one, asked, 1 if options.quick else 3)
            result.samples |= alternate(runs, options.rounds, what=f"tickets, {database}")
        ours = f"async_uploads, {database}"
        for name, least in (("peer on uvicorn", 3), ("peer on gunicorn", 1.5)):
            ratio = result.ratio("requests/s", ours, f"{name}, {database}")
            result.verdicts.append(
                Verdict(f"requests/s beside the {name}, {database}", ratio, at_least=least)
            )
    return result


def requests_for(one: Site, kind: str) -> list[Request]:
    """A request for each of the users, as the browser's script sends it."""
    if kind == "peer":
        url = one.url(f"uploads/generate-upload-url/?fieldId={one.field_id}&filename=report.pdf")
        return [Request(url, headers={"Cookie": f"sessionid={session}"}) for session in one.sessions]
    body = json.dumps({"fieldId": one.field_id, "filename": "report.pdf"}).encode()
    url, token = one.url("uploads/generate-upload-url/"), "a" * 32
    headers = {"Content-Type": "application/json", "X-CSRFToken": token}
    return [
        Request(url, "POST", {**headers, "Cookie": f"sessionid={session}; csrftoken={token}"}, body)
        for session in one.sessions
    ]


def _run(one: Site, asked: list[Request], seconds: float) -> Metrics:
    settle(one.server)
    before = one.server.spent
    answers: Answers = in_own_process(closed_loop, asked, CONNECTIONS, seconds).check()
    return {
        "requests/s": answers.rate,
        "p50 ms": answers.percentile(0.5) * 1000,
        "p99 ms": answers.percentile(0.99) * 1000,
        "server CPU ms": (one.server.spent - before).cpu / len(answers.latencies) * 1000,
        "client CPU": answers.client_cpu / answers.seconds,
    }


if __name__ == "__main__":
    main(measure, __doc__)
