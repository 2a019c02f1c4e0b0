"""What docs/storages.md says, done: its settings, policies, rules and examples."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import CorsRule
from django.core.files.storage import storages
from storages.backends.azure_storage import AzureStorage
from storages.backends.s3 import S3Storage

from async_uploads.storage.azure import AzureAsyncUploadStorage
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.storage.naming import TEMPORARY_PREFIX
from async_uploads.storage.s3 import S3AsyncUploadStorage
from async_uploads.storage_trial import advice
from async_uploads.testing import StorageContract
from tests.s3_storage import put_temporary, storage_on
from tests.servers.azurite import AzureServer
from tests.servers.seaweedfs import S3Server
from tests.storage_checks import (
    azure_cors_rule,
    check_async_storage,
    configure_azure,
    configure_s3,
    s3_cors_rules,
)

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs/storages.md").read_text()
SITE = "https://example.com"
STORAGE_CLASSES: dict[str, Any] = {
    "Amazon S3": S3AsyncUploadStorage,
    "Azure Blob Storage": AzureAsyncUploadStorage,
}
# It is asked for when an unfinished copy is aborted; SeaweedFS allows that with the right to abort.
UNKNOWN_TO_SEAWEEDFS = "s3:ListMultipartUploadParts"
UNITS = {"MiB": 1024**2, "GiB": 1024**3}


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def part(of: str, title: str) -> str:
    return section(of).split(f"\n### {title}\n")[1].split("\n### ")[0]


def block(text: str, language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def rows(of: str) -> Iterator[list[str]]:
    """The tables of options: what stands in each cell."""
    for line in part(of, "Options").splitlines():
        if line.startswith("| `"):
            yield [cell.strip() for cell in line[1:-1].split("|")]


def options_and_settings() -> list[tuple[str, str, str]]:
    return [
        (of, option, setting)
        for of in STORAGE_CLASSES
        for row in rows(of)
        for option, setting in zip(
            re.findall(r"`(\w+)`", row[0]), re.findall(r"`(\w+)`", row[1]), strict=True
        )
    ]


#######################
# Settings and examples
#######################


@pytest.mark.parametrize(("of", "option", "setting"), options_and_settings())
def test_documented_option_has_the_documented_setting(
    settings: Any, of: str, option: str, setting: str
) -> None:
    storage = object.__new__(STORAGE_CLASSES[of])
    value = object()
    setattr(settings, setting, value)

    assert storage.get_default_settings()[option] is value


@pytest.mark.parametrize("text", [TEXT, Path(advice.__file__).read_text()], ids=["documentation", "advice"])
def test_settings_that_are_named_exist(settings: Any, text: str) -> None:
    named = set(re.findall(r"\b(?:AWS|AZURE)_[A-Z0-9_]+\b", text))
    for name in named:
        setattr(settings, name, name)

    known = [object.__new__(storage).get_default_settings() for storage in STORAGE_CLASSES.values()]

    values = {str(value) for options in known for value in options.values()}
    assert named - values <= {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}  # asked for after AWS_S3_…


@pytest.mark.parametrize(("of", "theirs"), [("Amazon S3", S3Storage), ("Azure Blob Storage", AzureStorage)])
def test_options_of_our_own_are_all_documented_with_their_defaults(of: str, theirs: type[Any]) -> None:
    defaults = object.__new__(STORAGE_CLASSES[of]).get_default_settings()
    ours = defaults.keys() - object.__new__(theirs).get_default_settings().keys()
    documented = {row[0].strip("`"): row[2] for row in rows(of) if len(row) == 4}

    assert documented.keys() == ours
    for option, told in documented.items():
        assert defaults[option] == value_of(told), option


def value_of(told: str) -> Any:
    if not told:
        return None
    number, _, unit = told.strip("`").partition(" ")
    return int(number) * UNITS[unit] if unit else literal_eval(number)


@pytest.mark.parametrize("title", ["Amazon S3", "Other servers of S3's protocol", "Azure Blob Storage"])
def test_example_settings_make_a_storage(settings: Any, monkeypatch: pytest.MonkeyPatch, title: str) -> None:
    monkeypatch.setenv("S3_ACCESS_KEY", "access")
    monkeypatch.setenv("S3_SECRET_KEY", "secret")
    example: dict[str, Any] = {}

    exec(block(section(title), "python"), example)
    settings.STORAGES = example["STORAGES"]

    assert isinstance(storages["default"], AsyncUploadStorage)


def test_names_of_what_the_command_prints_are_true(settings: Any, seaweedfs: S3Server) -> None:
    printed = re.findall(r"^  ok +(.+)$", block(section("Trying it"), ""), re.MULTILINE)
    configure_s3(settings, seaweedfs)

    assert check_async_storage("tried").steps("ok")[: len(printed)] == printed


def test_example_of_the_contract_runs_without_any_settings_of_pytest(tmp_path: Path) -> None:
    example = tmp_path / "test_my_storage.py"
    example.write_text(block(section("A storage of your own"), "python"))

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(example)],
        cwd=tmp_path,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_verbs_of_a_storage_of_ones_own_are_all_listed() -> None:
    listed = set(re.findall(r"^\| `(\w+)` \|", section("A storage of your own"), re.MULTILINE))
    derived = {"aexists", "asize", "aopen", "asave", "amove_file", "adelete_all"}
    verbs = {name for name in vars(AsyncUploadStorage) if name.startswith("a") and name != "alternative_name"}

    assert {f"a{name}".replace("aaopen", "aopen") for name in listed} == verbs - derived


async def test_example_application_is_told_of_the_servers_end() -> None:
    example: dict[str, Any] = {}
    exec(block(section("Connections"), "python"), example)
    told = iter(["lifespan.startup", "lifespan.shutdown"])
    answers: list[str] = []

    async def receive() -> dict[str, str]:
        return {"type": next(told)}

    async def send(message: dict[str, str]) -> None:
        answers.append(message["type"])

    await example["application"]({"type": "lifespan"}, receive, send)

    assert answers == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


####
# S3
####


def policy(*, without: str = "") -> dict[str, Any]:
    """The documented IAM policy, for the tests' bucket."""
    document: dict[str, Any] = json.loads(
        block(part("Amazon S3", "Permissions"), "json").replace("my-bucket", S3Server.bucket)
    )
    for statement in document["Statement"]:
        actions = statement["Action"]
        actions = actions if isinstance(actions, list) else [actions]
        statement["Action"] = [action for action in actions if action not in (without, UNKNOWN_TO_SEAWEEDFS)]
    document["Statement"] = [statement for statement in document["Statement"] if statement["Action"]]
    return document


class TestDocumentedPolicyIsEnough(StorageContract):
    @pytest.fixture
    def storage(self, seaweedfs: S3Server) -> AsyncUploadStorage:
        return storage_on(seaweedfs, seaweedfs.with_policy(policy()))


async def test_documented_policy_lets_large_files_be_copied_in_parts(seaweedfs: S3Server) -> None:
    mib = 1024**2
    sizes: dict[str, Any] = {"multipart_copy_threshold": 5 * mib, "multipart_copy_chunksize": 5 * mib}
    storage = storage_on(seaweedfs, seaweedfs.with_policy(policy()), **sizes)
    key = await put_temporary(storage, b"x" * 6 * mib)

    await storage.acopy_file(key, "large.bin")

    assert await storage.asize("large.bin") == 6 * mib


def test_documented_policy_is_enough_for_the_check(settings: Any, seaweedfs: S3Server) -> None:
    configure_s3(settings, seaweedfs, seaweedfs.with_policy(policy()))

    checked = check_async_storage("tried")

    assert checked.code == 0, checked.told


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"])
def test_documented_policy_has_no_action_too_many(settings: Any, seaweedfs: S3Server, action: str) -> None:
    """Of those that this server tells apart."""
    who = seaweedfs.with_policy(policy(without=action))
    configure_s3(settings, seaweedfs, who)

    assert check_async_storage("tried").code == 1


@pytest.mark.usefixtures("localhost_names")
def test_documented_cors_rule_lets_the_sites_pages_upload(settings: Any, seaweedfs: S3Server) -> None:
    rules = json.loads(block(part("Amazon S3", "CORS"), "json"))["CORSRules"]
    configure_s3(settings, seaweedfs, endpoint_url=seaweedfs.virtual_endpoint_url, addressing_style="virtual")

    with s3_cors_rules(seaweedfs, *rules):
        checked = check_async_storage("tried", "--origin", SITE, "--origin", "https://evil.example")

    assert checked.steps("wrong") == ["letting pages of https://evil.example upload (CORS)"]
    assert f"letting pages of {SITE} upload (CORS)" in checked.steps("ok")


def test_documented_lifecycle_rules_are_taken_and_meet_the_temporary_files(seaweedfs: S3Server) -> None:
    rules = json.loads(block(part("Amazon S3", "Lifecycle"), "json"))
    client = seaweedfs.client()

    client.put_bucket_lifecycle_configuration(Bucket=seaweedfs.bucket, LifecycleConfiguration=rules)
    try:
        kept = client.get_bucket_lifecycle_configuration(Bucket=seaweedfs.bucket)["Rules"]
    finally:
        client.delete_bucket_lifecycle(Bucket=seaweedfs.bucket)
        client.close()

    assert [rule["Status"] for rule in kept] == ["Enabled", "Enabled"]
    assert rules["Rules"][0]["Filter"]["Prefix"] == f"{TEMPORARY_PREFIX}/"


#######
# Azure
#######


def test_documented_azure_cors_rule_lets_the_sites_pages_upload(settings: Any, azurite: AzureServer) -> None:
    command = shlex.split(block(part("Azure Blob Storage", "CORS"), "sh").replace("\\\n", ""))
    given = dict(zip(command[4::2], command[5::2], strict=True))
    rule = CorsRule(
        [given["--origins"]],
        [given["--methods"]],
        allowed_headers=[given["--allowed-headers"]],
        max_age_in_seconds=int(given["--max-age"]),
    )
    configure_azure(settings, azurite)

    with azure_cors_rule(azurite, rule):
        checked = check_async_storage("tried", "--origin", SITE, "--origin", "https://evil.example")

    assert command[:4] == ["az", "storage", "cors", "add"]
    assert checked.steps("wrong") == ["letting pages of https://evil.example upload (CORS)"]


def test_documented_azure_rules_are_json_and_meet_the_temporary_files() -> None:
    role = json.loads(block(part("Azure Blob Storage", "Permissions"), "json"))
    rules = json.loads(block(part("Azure Blob Storage", "Lifecycle"), "json"))["rules"]

    assert {action.rsplit("/", 1)[1] for action in role["DataActions"]} == {"read", "write", "delete"}
    assert rules[0]["definition"]["filters"]["prefixMatch"] == [f"uploads/{TEMPORARY_PREFIX}/"]
