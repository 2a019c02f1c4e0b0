"""What a page complains about: errors on its console, exceptions, violations of its Content-Security-Policy."""

import re

from playwright.sync_api import BrowserContext, ConsoleMessage, Page

REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI}`));
"""

# What a browser writes when a server is not there: the page can neither prevent nor catch it.
SERVER_AWAY = r"net::ERR_|WebSocket connection to .* failed"


class Complaints:
    def __init__(self, context: BrowserContext) -> None:
        self._found: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        context.add_init_script(REPORT_VIOLATIONS)
        context.on("page", self._listen)

    def expect(self, pattern: str) -> None:
        self._expected.append(re.compile(pattern))

    @property
    def unexpected(self) -> list[str]:
        return [text for text in self._found if not any(known.search(text) for known in self._expected)]

    def _listen(self, page: Page) -> None:
        page.on("console", self._note)
        page.on("pageerror", lambda error: self._found.append(f"{error.name}: {error.message}"))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._found.append(f"{message.text} ({message.location['url']})")
