"""The steps of a trial that a page in a browser takes: sending past Django, and downloading."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from async_uploads.inspection import may_be_inline, served_type
from async_uploads.storage_trial import browsing
from async_uploads.storage_trial.advice import advice_on_cors
from async_uploads.storage_trial.bench import CONTENT, EXPIRE, FILENAME, LARGEST, OTHER_CONTENT, Bench
from async_uploads.storage_trial.browsing import NotReached
from async_uploads.storage_trial.findings import NotTried, Wrong

MOST_SKEW = 120
"""Seconds. From 15 minutes on clouds refuse requests; a clock that the network sets is never so far off."""


async def asign(bench: Bench) -> None:
    await bench.aticket_for(bench.new_key())


async def asend(bench: Bench) -> None:
    await bench.aput(bench.source, CONTENT)


async def asend_elsewhere(bench: Bench) -> None:
    key, other = bench.new_key(), bench.new_key()
    ticket = browsing.for_another_key(await bench.aticket_for(key), key, other)
    if (await bench.asend(ticket, other, CONTENT)).is_success:
        raise Wrong(
            "a ticket for one key was taken for another",
            "The server, or a proxy in front of it, does not check signatures: anybody may write anything there.",
        )


async def asend_too_much(bench: Bench) -> None:
    key = bench.new_key()
    ticket = await bench.aticket_for(key)
    if (await bench.asend(ticket, key, b"x" * (LARGEST + 1))).is_success:
        raise Wrong(
            f"{LARGEST + 1} bytes were taken where the ticket allows {LARGEST}",
            "The server ignores the content-length-range of POST policies: what is too large is deleted at "
            "completion, but until then anybody with a ticket can fill the bucket.",
        )


async def asend_again(bench: Bench) -> None:
    key = bench.new_key()
    ticket = await bench.aticket_for(key)
    await bench.asend(ticket, key, CONTENT)
    if (await bench.asend(ticket, key, OTHER_CONTENT)).is_success:
        raise Wrong(
            "a ticket was good for a second upload, which overwrote the first",
            "The server does not check the permissions of a signature: it has to tell creating from writing.",
        )


async def asend_from(bench: Bench, origin: str) -> None:
    """As a browser does for a page of this origin: asks first, sends, looks whether the page may see the answer."""
    key = bench.new_key()
    ticket = await bench.aticket_for(key)
    if browsing.is_mixed_content(ticket["url"], origin):
        raise Wrong(
            "browsers let no https page send to an http address", "Give the storage an https address."
        )
    if bench.last_answer is None:
        raise NotTried("the storage did not answer")
    advice = advice_on_cors(bench.storage, origin, ticket["method"])
    try:
        objection = browsing.objection_to(await browsing.aask_leave(ticket, origin), ticket, origin)
    except NotReached as error:
        raise Wrong(f"no answer to the preflight: {error.reason}", advice) from error
    if objection:
        raise Wrong(objection, advice)
    if not browsing.allows_origin(await bench.asend(ticket, key, CONTENT, origin=origin), origin):
        raise Wrong(
            "the preflight allows the origin, but the answer to the upload does not: "
            "the browser takes the upload for failed",
            advice,
        )


async def acompare_clocks(bench: Bench) -> None:
    answer = bench.last_answer
    if answer is None or "Date" not in answer.headers:
        raise NotTried("the storage did not tell the time")
    skew = round(answer.at - parsedate_to_datetime(answer.headers["Date"]).timestamp())
    if abs(skew) > MOST_SKEW:
        raise Wrong(
            f"this machine's clock is {abs(skew)} seconds {'ahead of' if skew > 0 else 'behind'} the storage's",
            "Signatures are good for a time, counted by both clocks: have them set by the network (NTP).",
        )


async def asign_download(bench: Bench) -> None:
    await bench.storage.agenerate_download_url(bench.source, bench.field_id, filename=FILENAME, expire=EXPIRE)


async def adownload(bench: Bench) -> None:
    url = await bench.storage.agenerate_download_url(
        bench.target, bench.field_id, filename=FILENAME, expire=EXPIRE
    )
    try:
        answer = await browsing.aget(url)
    except NotReached as error:
        raise bench.wrong(f"no answer: {error.reason}") from error
    if not answer.is_success:
        raise bench.wrong(f"refused with {answer.error}")
    if answer.content != CONTENT:
        raise Wrong(
            "other bytes came than were stored",
            "See what stands behind the address: a custom domain, a cache.",
        )
    if urlsplit(url).query:
        _check_headers(answer)


def _check_headers(answer: browsing.Answer) -> None:
    """A signed URL has the storage say by our rules what it is and how it is offered."""
    content_type = answer.headers.get("Content-Type", "")
    kind = "inline" if may_be_inline(FILENAME) else "attachment"
    disposition = answer.headers.get("Content-Disposition", "")
    if (
        content_type.split(";")[0] == served_type(FILENAME)
        and disposition.startswith(kind)
        and FILENAME in disposition
    ):
        return
    raise Wrong(
        f"it came as {content_type or 'no type'}, {disposition or 'without Content-Disposition'}; "
        f"{served_type(FILENAME)}, {kind} was asked for",
        "A custom domain has to hand the query string on to the storage, and to cache by it.",
    )
