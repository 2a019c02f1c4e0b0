"""The speed of a page's connection: slow enough to see an upload under way, then fast enough to see it end."""

from playwright.sync_api import BrowserContext, CDPSession, Page

SLOW = 250_000  # bytes per second


class Connection:
    def __init__(self, context: BrowserContext) -> None:
        self._context = context
        self._sessions: dict[Page, CDPSession] = {}

    def slow_down(self, page: Page) -> None:
        self._limit_uploads(page, SLOW)

    def speed_up(self, page: Page) -> None:
        self._limit_uploads(page, -1)

    def _limit_uploads(self, page: Page, speed: int) -> None:
        # Always by the same session: each keeps the limit that it has set.
        if page not in self._sessions:
            self._sessions[page] = self._context.new_cdp_session(page)
            self._sessions[page].send("Network.enable")
        conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": speed}
        self._sessions[page].send("Network.emulateNetworkConditions", conditions)
