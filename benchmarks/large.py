"""One large upload: MB/s, bytes written for each that is sent, and how much the server's memory grows by it.

1 GiB is sent over one connection to a server with one worker, as fast as libcurl can: as a raw PUT, as the file of a
form, or in the pieces of tus. Nobody waits for the disk (``fsync=False``, as none of the others does): what is measured
is the way into the kernel's page cache. What a run has written is removed and the disk synced before the next begins.
Ours is also sent 4 GiB once, whose memory must be no other.
"""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from urllib.parse import urljoin

from benchmarks.measuring import nginx
from benchmarks.measuring.loading import Request
from benchmarks.measuring.memory import have_at_hand
from benchmarks.measuring.processes import Command, Server, settle
from benchmarks.measuring.results import Metrics, Result, Verdict
from benchmarks.measuring.rounds import Options, alternate, main
from benchmarks.measuring.sending import Content, Sender, Sent, post_form, put, sending_process, tus
from benchmarks.measuring.sites import Site, bare, dropping, gunicorn, site, uvicorn
from benchmarks.tickets import requests_for

MIB = 1024 * 1024
SIZE, QUICK_SIZE = 1024 * MIB, 256 * MIB
LARGEST = 4096 * MIB
WARM_UP = 32 * MIB
SLOW = 0.25
TUS_PIECE = 2621440
"""Bytes: what django-file-form's widget sends at a time (``chunkSize`` in its ``init_upload_fields``)."""

OURS_PUT, OURS_POST = "async_uploads, PUT", "async_uploads, POST"
NGINX = "nginx, PUT"
DROPPING = "uvicorn that throws it away, PUT"
PEERS = ("peer on uvicorn, POST", "peer on gunicorn, POST")

Send = Callable[[Content], Sent]


@dataclass(frozen=True)
class Contender:
    """``files``: the folder below which it leaves what it was sent. ``copies``: how often it writes that, at most;
    0: it keeps nothing.

    ``share`` of the size: the slow ones are sent less, or they would take most of the time.
    """

    name: str
    server: Server
    files: Path
    send: Send
    copies: int = 1
    share: float = 1.0


def measure(options: Options) -> Result:
    size = QUICK_SIZE if options.quick else SIZE
    _check_disk(options.folder, size if options.quick else LARGEST)
    result = Result(
        "large",
        f"One upload of {size // MIB:,} MiB over one connection, one worker",
        ["MB/s", "bytes written per byte", "memory growth MiB", "server CPU s/GiB"],
    )
    content = Content(written(options.folder / "sent", size), size)
    with sending_process() as sender, _all(options.folder, sender) as contenders:
        first = {contender.name: _run(contender, Content(content.file, WARM_UP)) for contender in contenders}
        runs = {
            contender.name: partial(_run, contender, Content(content.file, int(size * contender.share)))
            for contender in contenders
        }
        result.samples = alternate(runs, options.rounds, what="large", warm_up=False)
        if not options.quick:
            for contender in contenders[:2]:
                metrics = _run(contender, Content(content.file, LARGEST))
                result.samples[contender.name].add({"memory growth MiB, 4 GiB": metrics["memory growth MiB"]})
    for name, metrics in first.items():
        result.samples[name].add({"memory growth MiB, first upload": metrics["memory growth MiB"]})
    result.verdicts = list(_verdicts(result))
    result.notes = list(_notes(result))
    return result


@contextmanager
def _all(folder: Path, sender: Sender) -> Iterator[list[Contender]]:
    """Each with its server running; ours first."""
    with ExitStack() as stack:

        def started(kind: str, command: Command) -> Site:
            return stack.enter_context(site(kind, command, folder))

        def contender(
            name: str, one: Site, way: Callable[..., Sent], copies: int = 1, share: float = 1.0
        ) -> Contender:
            return Contender(name, one.server, one.data, partial(way, sender, one), copies, share)

        ours, by_tus = started("ours", uvicorn), started("tus", uvicorn)
        (by_tus.data / "media/tus").mkdir(parents=True)  # which the package does not make
        contenders = [
            contender(OURS_PUT, ours, partial(to_ticket, requests_for(ours, "ours")[0], put)),
            contender(OURS_POST, ours, partial(to_ticket, requests_for(ours, "ours")[0], post_form)),
        ]
        if nginx.executable():
            server, files = stack.enter_context(nginx.nginx_dav(folder / "nginx"))
            contenders.append(Contender(NGINX, server, files, partial(_to_new_name, sender, server)))
        without = started("bare", bare)
        to_bare = partial(_to_new_name, sender, without.server)
        contenders.append(Contender("bare ASGI app, PUT", without.server, without.data, to_bare))
        nothing = started("bare", dropping)
        to_nothing = partial(_to_new_name, sender, nothing.server)
        contenders.append(Contender(DROPPING, nothing.server, nothing.data, to_nothing, copies=0))
        for name, command, share in zip(PEERS, (uvicorn, gunicorn), (1, SLOW), strict=True):
            peer = started("peer", command)
            way = partial(to_ticket, requests_for(peer, "peer")[0], post_form)
            contenders.append(contender(name, peer, way, 2, share))
        contenders.append(contender("plain FileField, POST", started("plain", uvicorn), _to_form, 2))
        contenders.append(contender("django-file-form, tus", by_tus, _by_tus, share=SLOW))
        yield contenders


_numbers = count()


def to_ticket(asked: Request, send: Callable[..., Sent], sender: Sender, one: Site, content: Content) -> Sent:
    """``asked``: for a ticket, first, outside of the timing."""
    assert isinstance(asked.body, bytes)
    request = urllib.request.Request(asked.url, asked.body or None, dict(asked.headers), method=asked.method)
    with urllib.request.urlopen(request) as answer:
        ticket = json.load(answer)["uploadUrl"]
    return sender(send, urljoin(one.server.address, ticket["url"]), content, ticket.get("headers", {}))


def _to_new_name(sender: Sender, server: Server, content: Content) -> Sent:
    return sender(put, f"{server.address}/{next(_numbers)}", content, {})


def _to_form(sender: Sender, one: Site, content: Content) -> Sent:
    return sender(post_form, one.url("upload/"), content, {})


def _by_tus(sender: Sender, one: Site, content: Content) -> Sent:
    token = "a" * 32
    headers = {"Cookie": f"sessionid={one.sessions[0]}; csrftoken={token}", "X-CSRFToken": token}
    return sender(tus, one.url("uploads/upload/"), content, headers, TUS_PIECE)


def _run(contender: Contender, content: Content) -> Metrics:
    os.sync()
    server = contender.server
    settle(server)
    have_at_hand(content.size * contender.copies, content.file.parent)
    server.forget_peak()
    before, memory = server.spent, server.peak_memory
    try:
        sent = contender.send(content)
        used, growth = server.spent - before, server.peak_memory - memory
        if contender.copies:
            _check_arrived(contender, content)
    finally:
        _clear(contender.files)
    return {
        "MB/s": content.size / 1e6 / sent.seconds,
        "bytes written per byte": used.to_disk / content.size,
        "memory growth MiB": growth / MIB,
        "server CPU s/GiB": used.cpu / content.size * 1024 * MIB,
        "client CPU": sent.client_cpu / sent.seconds,
    }


def _check_arrived(contender: Contender, content: Content) -> None:
    sizes = [path.stat().st_size for path in contender.files.rglob("*") if path.is_file()]
    if content.size not in sizes:
        raise RuntimeError(f"{contender.name} has not stored {content.size} bytes: {sizes}")


def _clear(files: Path) -> None:
    for path in files.rglob("*"):
        if path.is_file() and path.stat().st_size >= WARM_UP:
            path.unlink()


def written(path: Path, size: int) -> Path:
    """A file of so many bytes, none of them a hole."""
    block = os.urandom(MIB)
    with path.open("wb") as file:
        for _ in range(size // MIB):
            file.write(block)
    return path


def _check_disk(folder: Path, largest: int) -> None:
    """What is sent, and the two copies that the peer makes of it."""
    needed, free = SIZE + max(largest, 2 * SIZE) + 1024 * MIB, shutil.disk_usage(folder).free
    if free < needed:
        raise RuntimeError(
            f"{folder} has {free / 1e9:.0f} GB free, and {needed / 1e9:.0f} are needed (TMPDIR)."
        )


def _verdicts(result: Result) -> Iterator[Verdict]:
    samples = result.samples
    if NGINX in samples:
        yield Verdict("MB/s of a PUT beside nginx", result.ratio("MB/s", OURS_PUT, NGINX), at_least=0.75)
    yield Verdict(f"MB/s of a PUT beside {DROPPING}", result.ratio("MB/s", OURS_PUT, DROPPING))
    for peer in PEERS:
        yield Verdict(f"MB/s of a PUT beside the {peer}", result.ratio("MB/s", OURS_PUT, peer), at_least=2.5)
    for peer in PEERS:
        yield Verdict(f"MB/s of a POST beside the {peer}", result.ratio("MB/s", OURS_POST, peer), at_least=2)
    for name in (OURS_PUT, OURS_POST):
        written = round(samples[name].median("bytes written per byte"), 2)
        yield Verdict(f"bytes written per byte, {name}", written, "", at_most=1)
    yield Verdict(
        f"bytes written per byte, {PEERS[0]}", samples[PEERS[0]].median("bytes written per byte"), ""
    )
    for name in (OURS_PUT, OURS_POST):
        for told in ("", ", 4 GiB", ", first upload"):
            metric = f"memory growth MiB{told}"
            if metric in samples[name].values:
                most = samples[name].spread(metric)[1]
                yield Verdict(f"growth of peak memory, at most{told}, {name}", most, "MiB", at_most=16)


def _notes(result: Result) -> Iterator[str]:
    if NGINX not in result.samples:
        yield "nginx is not installed here: what the machine can do at most was not measured."
    shares = {name: samples.median("client CPU") for name, samples in result.samples.items()}
    yield f"The slowest, the peer on gunicorn and tus, were sent {SLOW:.0%} of the size."
    yield f"The first upload of all, to servers just started, was of {WARM_UP // MIB} MiB, and counts for memory alone."
    busiest = max(shares, key=lambda name: shares[name])
    yield (
        f"The sending process used {shares[OURS_PUT]:.0%} of a core against our PUT, and {shares[busiest]:.0%} at most "
        f"({busiest})."
    )


if __name__ == "__main__":
    main(measure, __doc__)
