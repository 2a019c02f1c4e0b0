"""How many records a second are saved whose files are promoted within S3, when 200 people save at once.

The objects lie in SeaweedFS and their rows in PostgreSQL before (``benchmarks.sites.objects``); a run is 200 requests
to the ``save/`` view of a site, all at the same time, each with the key of another upload and its owner's session. A
save is answered when the file has its final name. The last contender asks SeaweedFS for what no promotion can do
without, a copy and a delete for each file, by a client in C that does nothing else: more is not to be had from it.
The peer on uvicorn, which serves one after another, is given a fifth of the saves, for it takes a minute to do them
all: its saves a second are the same, its latencies would be five times what is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import boto3
from botocore.config import Config

from benchmarks.measuring.loading import Answers, Request, closed_loop, in_own_process
from benchmarks.measuring.processes import run, settle
from benchmarks.measuring.results import Metrics, Result, Verdict
from benchmarks.measuring.rounds import Options, alternate, main
from benchmarks.measuring.sites import PYTHON, Site, gunicorn, site, uvicorn
from tests.servers.postgresql import running_postgresql
from tests.servers.seaweedfs import S3Server

SAVES = 200
SIZE = 100 * 1024
TIGHT = 16
"""Connections of the client that does nothing else; more of them only wait."""

CONTENDERS = (
    ("async_uploads", "ours", uvicorn),
    ("peer on uvicorn", "peer", uvicorn),
    ("peer on gunicorn", "peer", gunicorn),
)
SLOW = "peer on uvicorn"
LIMIT = "SeaweedFS itself"


def measure(options: Options) -> Result:
    saves = SAVES // 4 if options.quick else SAVES
    result = Result(
        "promotions",
        f"{saves} saves at once, each with a promotion in S3, one worker",
        ["saves/s", "p50 ms", "p99 ms", "server CPU ms", "S3 requests"],
    )
    with ExitStack() as stack:
        s3 = stack.enter_context(_running_s3(options.folder / "s3"))
        runs = {}
        for number, (name, kind, command) in enumerate(CONTENDERS):
            # One for each: connections that a server keeps are not to be what another one lacks.
            postgresql = options.folder / f"postgresql-{number}"
            postgresql.mkdir()
            stack.enter_context(running_postgresql(postgresql))
            environment = {"BENCH_DATABASE": str(postgresql), "BENCH_S3": s3.endpoint_url}
            one = stack.enter_context(site(kind, command, options.folder, environment=environment))
            runs[name] = partial(_save, one, s3, saves // 5 if name == SLOW else saves)
            if kind == "ours":
                runs[LIMIT] = partial(_copy_and_delete, Uploads(s3, one.environment), saves)
        result.samples = alternate(runs, options.rounds, what="promotions")
    for name, least in (("peer on uvicorn", 5), ("peer on gunicorn", None)):
        ratio = result.ratio("saves/s", "async_uploads", name)
        result.verdicts.append(Verdict(f"saves/s beside the {name}", ratio, at_least=least))
    result.verdicts.append(
        Verdict("of what SeaweedFS itself can do", result.ratio("saves/s", "async_uploads", LIMIT))
    )
    return result


@contextmanager
def _running_s3(folder: Path) -> Iterator[S3Server]:
    folder.mkdir()
    s3 = S3Server(folder)
    s3.start()
    try:
        yield s3
    finally:
        s3.discard()


@dataclass(frozen=True)
class Uploads:
    """Those of a site's database, in S3."""

    s3: S3Server
    environment: dict[str, str]

    def make(self, count: int) -> list[str]:
        """Their keys."""
        printed = run([PYTHON, "-m", "benchmarks.sites.objects", str(count), str(SIZE)], self.environment)
        keys: list[str] = json.loads(printed)
        return keys


def _save(one: Site, s3: S3Server, saves: int) -> Metrics:
    keys = Uploads(s3, one.environment).make(saves)
    headers = {"Content-Type": "application/json", "Cookie": f"sessionid={one.sessions[0]}"}
    requests = [Request(one.url("save/"), "POST", headers, json.dumps({"key": key}).encode()) for key in keys]
    settle(one.server)
    before, asked = one.server.spent, len(s3.requests())
    answers: Answers = in_own_process(closed_loop, requests, saves).check()
    spent = one.server.spent - before
    return {
        "saves/s": answers.rate,
        "p50 ms": answers.percentile(0.5) * 1000,
        "p99 ms": answers.percentile(0.99) * 1000,
        "server CPU ms": spent.cpu / saves * 1000,
        "S3 requests": (len(s3.requests()) - asked) / saves,
        "client CPU": answers.client_cpu / answers.seconds,
    }


def _copy_and_delete(uploads: Uploads, saves: int) -> Metrics:
    """All the copies, then all the deletes, signed beforehand."""
    s3 = uploads.s3
    client = boto3.client(
        "s3",
        endpoint_url=s3.endpoint_url,
        aws_access_key_id=s3.app.access_key,
        aws_secret_access_key=s3.app.secret_key,
        region_name=s3.region,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    copies, deletes = [], []
    for key in uploads.make(saves):
        source = f"{s3.bucket}/ours/{key}"
        copy = {"Bucket": s3.bucket, "Key": f"tight/{key}", "CopySource": source}
        delete = {"Bucket": s3.bucket, "Key": f"ours/{key}"}
        url = client.generate_presigned_url("copy_object", copy)
        copies.append(Request(url, "PUT", {"x-amz-copy-source": source}))
        deletes.append(Request(client.generate_presigned_url("delete_object", delete), "DELETE"))
    client.close()
    copied: Answers = in_own_process(closed_loop, copies, TIGHT).check()
    deleted: Answers = in_own_process(closed_loop, deletes, TIGHT).check()
    seconds = copied.seconds + deleted.seconds
    return {
        "saves/s": saves / seconds,
        "S3 requests": 2,
        "client CPU": (copied.client_cpu + deleted.client_cpu) / seconds,
    }


if __name__ == "__main__":
    main(measure, __doc__)
