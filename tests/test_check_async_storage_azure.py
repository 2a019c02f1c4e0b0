"""``check_async_storage`` on Azure: what it says where everything is right, and of each thing that can be wrong."""

from __future__ import annotations

from typing import Any

import pytest
from azure.storage.blob import CorsRule

from tests.azure_storage import WRONG_KEY, with_key, with_sas
from tests.servers.azurite import AzureServer
from tests.servers.azurite_oauth import OAuthAzureServer
from tests.servers.proxy import Asked, Proxy
from tests.storage_checks import azure_cors_rule, check_async_storage, configure_azure

SITE = "https://example.com"
UPLOAD = "uploading as a browser does"
CORS = f"letting pages of {SITE} upload (CORS)"


def names_in(server: AzureServer, folder: str = "") -> list[str]:
    with server.service() as service, service.get_container_client(server.container) as container:
        return list(container.list_blob_names(name_starts_with=folder))


def test_storage_that_works_is_told_so_and_left_as_it_was(settings: Any, azurite: AzureServer) -> None:
    folder = configure_azure(settings, azurite)
    before = names_in(azurite)

    with azure_cors_rule(azurite, CorsRule([SITE], ["PUT"], allowed_headers=["*"])):
        checked = check_async_storage("tried", "--origin", SITE)

    assert checked.code == 0, checked.told
    assert checked.errors == ""
    assert checked.steps("skipped") == []
    assert {"refusing a second upload to a key", "downloading as a browser does", "deleting"} <= {
        *checked.steps("ok")
    }
    assert names_in(azurite) == before
    assert any(f"/{folder}/" in asked.path for asked in azurite.requests())  # in its folder


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (CorsRule(["https://example.org"], ["PUT"], allowed_headers=["*"]), "CorsPreflightFailure"),
        (CorsRule([SITE], ["GET"], allowed_headers=["*"]), "CorsPreflightFailure"),
        (CorsRule([SITE], ["PUT"], allowed_headers=["content-type"]), "CorsPreflightFailure"),
    ],
    ids=["another-origin", "another-method", "too-few-headers"],
)
def test_cors_rule_that_does_not_let_the_site_in_is_told(
    settings: Any, azurite: AzureServer, rule: CorsRule, told: str
) -> None:
    configure_azure(settings, azurite)

    with azure_cors_rule(azurite, rule):
        checked = check_async_storage("tried", "--origin", SITE)

    assert checked.steps("wrong") == [CORS]
    assert told in checked.line(CORS)
    assert "Put a CORS rule on the blob service of the account" in checked.line(CORS)


def test_answer_that_the_page_may_not_see_is_told(
    settings: Any, azurite: AzureServer, azurite_proxy: Proxy
) -> None:
    configure_azure(settings, azurite, connection_string=azurite.connection_string_by(azurite_proxy.url))
    azurite_proxy.rewrite(
        {"Access-Control-Allow-Origin": "https://example.org"}, when=lambda asked: asked.method == "PUT"
    )

    with azure_cors_rule(azurite, CorsRule([SITE], ["PUT"], allowed_headers=["*"])):
        checked = check_async_storage("tried", "--origin", SITE)

    assert checked.steps("wrong") == [CORS]
    assert "the browser takes the upload for failed" in checked.line(CORS)


def test_wrong_key_is_told_with_the_option_to_mend_and_not_printed(
    settings: Any, azurite: AzureServer
) -> None:
    configure_azure(settings, azurite, **with_key(azurite, account_key=WRONG_KEY))

    checked = check_async_storage("tried", "--origin", SITE)

    assert checked.code == 1
    for step in ("asking for a file that is not there", UPLOAD):
        assert "403 Auth" in checked.line(step)
        assert "account_key (AZURE_ACCOUNT_NAME, AZURE_ACCOUNT_KEY)" in checked.line(step)
    assert checked.line("copying").startswith("skipped")
    for hidden in (WRONG_KEY, azurite.account_key, "sig=", "AccountKey"):
        assert hidden not in checked.told


def test_key_that_is_none_is_told(settings: Any, azurite: AzureServer) -> None:
    configure_azure(settings, azurite, **with_key(azurite, account_key="abcde"))

    checked = check_async_storage("tried")

    assert "The Azure account key is not one: it must be base64" in checked.line("signing an upload URL")


def test_container_that_is_missing_is_told(settings: Any, azurite: AzureServer) -> None:
    configure_azure(settings, azurite, azure_container="missing")

    checked = check_async_storage("tried")

    assert checked.code == 1
    for step in ("asking for a file that is not there", UPLOAD):
        assert "ContainerNotFound" in checked.line(step)
        assert "Create the container" in checked.line(step)


def test_server_that_is_stopped_is_told_once_for_each_way_to_it(settings: Any, azurite: AzureServer) -> None:
    configure_azure(settings, azurite)
    azurite.stop()

    checked = check_async_storage("tried", "--origin", SITE)

    assert checked.code == 1
    assert checked.steps("wrong") == ["asking for a file that is not there", UPLOAD]
    assert "no answer: Connection refused" in checked.line(UPLOAD)
    assert "the storage did not answer" in checked.line(CORS)


def test_credential_that_cannot_sign_is_told(settings: Any, azurite: AzureServer) -> None:
    configure_azure(settings, azurite, **with_sas(azurite))

    checked = check_async_storage("tried")

    assert checked.code == 1
    assert "URLs are signed with account_key or token_credential" in checked.line("signing an upload URL")
    assert checked.line("asking for a file that is not there").startswith("ok")
    assert "sig=" not in checked.told


def test_server_that_does_not_tell_creating_from_writing_is_found_out(
    settings: Any, azurite: AzureServer, azurite_proxy: Proxy
) -> None:
    configure_azure(settings, azurite, connection_string=azurite.connection_string_by(azurite_proxy.url))
    puts: list[str] = []

    def comes_again(asked: Asked) -> bool:
        again = asked.method == "PUT" and asked.path in puts
        puts.append(asked.path)
        return again

    azurite_proxy.answer(201, when=comes_again, turns=1)

    checked = check_async_storage("tried")

    assert checked.steps("wrong") == ["refusing a second upload to a key"]


def test_managed_identity_that_works_is_told_so(
    settings: Any, azurite_oauth: OAuthAzureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(azurite_oauth.ca_file))
    monkeypatch.setattr(
        "urllib.request._opener", None
    )  # From Python 3.13 on, it keeps whom the first one trusted.
    configure_identity(settings, azurite_oauth)
    before = names_in(azurite_oauth)

    checked = check_async_storage("tried")

    assert checked.code == 0, checked.told
    assert names_in(azurite_oauth) == before, "nothing is left of the trial"


def test_certificate_that_is_not_trusted_is_told(settings: Any, azurite_oauth: OAuthAzureServer) -> None:
    configure_identity(settings, azurite_oauth)

    checked = check_async_storage("tried")

    assert "certificate is not trusted" in checked.line(UPLOAD)


def configure_identity(settings: Any, server: OAuthAzureServer) -> None:
    configure_azure(
        settings,
        server,
        **with_key(server, account_key=None, token_credential=server.credential()),
        client_options={"retry_total": 0, "connection_verify": str(server.ca_file)},
    )
