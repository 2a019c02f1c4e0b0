"""Real Chromium against the demo. Playwright's sync API, and no async tests beside it: it keeps a loop of its own."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.cloud_demo import AzureDemo, CloudDemo, S3Demo
from tests.browser.complaints import Complaints
from tests.browser.connection import Connection
from tests.browser.demo_server import ROOT, DemoServer
from tests.servers.azurite import AzureServer
from tests.servers.processes import missing
from tests.servers.proxy import Proxy
from tests.servers.seaweedfs import S3Server

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not executable:
        missing(
            "Chromium", "Install it with: apt-get install chromium, or name it in CHROMIUM=/path/to/chromium"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def running_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    demo = DemoServer(tmp_path_factory.mktemp("demo"))
    demo.prepare()
    demo.start()
    yield demo
    demo.kill()


@pytest.fixture
def demo(running_demo: DemoServer) -> DemoServer:
    running_demo.ensure_running()
    return running_demo


@pytest.fixture(scope="package", params=["s3", "azure"])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudDemo]:
    """A demo that keeps its files in a cloud."""
    data = tmp_path_factory.mktemp(f"demo-{request.param}")
    with ExitStack() as network:
        cloud: CloudDemo
        if request.param == "s3":
            s3: S3Server = request.getfixturevalue("seaweedfs")
            cloud = S3Demo(data, s3, network.enter_context(Proxy(s3.endpoint_url)))
        else:
            azure: AzureServer = request.getfixturevalue("azurite")
            cloud = AzureDemo(data, azure, network.enter_context(Proxy(azure.account_url)))
        cloud.start()
        yield cloud
        cloud.server.kill()


@pytest.fixture(scope="package")
def axe_script() -> Path:
    if not AXE.exists():
        missing("axe-core", "Install it with: npm install --no-package-lock")
    return AXE


@pytest.fixture
def context_options() -> dict[str, object]:
    """What kind of browser the test wants; tests override it by indirect parameters."""
    return {}


@pytest.fixture
def context(
    chromium: Browser, demo: DemoServer, context_options: dict[str, object]
) -> Iterator[BrowserContext]:
    context = chromium.new_context(base_url=demo.url, **context_options)  # type: ignore[arg-type]  # any of its options
    context.set_default_timeout(15_000)
    yield context
    context.close()


@pytest.fixture
def complaints(context: BrowserContext) -> Iterator[Complaints]:
    complaints = Complaints(context)
    yield complaints
    assert complaints.unexpected == []


@pytest.fixture
def page(context: BrowserContext, complaints: Complaints) -> Page:
    return context.new_page()


@pytest.fixture
def document_form(page: Page) -> Page:
    page.goto("/documents/new/")
    return page


@pytest.fixture
def connection(context: BrowserContext) -> Connection:
    return Connection(context)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.linear_gradient("L").resize((320, 200)).convert("RGB").save(path)
    return path


@pytest.fixture
def log_in(page: Page) -> None:
    page.goto("/accounts/login/")
    page.locator("[name=username]").fill("demo")
    page.locator("[name=password]").fill("demo")
    page.locator("main button").click()
    page.wait_for_url("**/")
