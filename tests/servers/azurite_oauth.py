"""Azurite over HTTPS, where one may come with a bearer token, as an application with a managed identity does."""

from __future__ import annotations

import base64
import ipaddress
import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from azure.core.credentials import AccessToken
from azure.storage.blob import BlobServiceClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers.azurite import AzureServer

# One of the tenants whose tokens Azurite takes; it does not check signatures.
ISSUER = "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/"


class OAuthAzureServer(AzureServer):
    """Azurite with ``--oauth basic``; ``ca_file`` is the certificate to trust."""

    scheme = "https"

    def __init__(self, directory: Path) -> None:
        self.ca_file = directory / "certificate.pem"
        self._key_file = directory / "key.pem"
        make_certificate(self.ca_file, self._key_file)
        super().__init__(directory)

    def options(self, directory: Path) -> list[str]:
        return ["--oauth=basic", f"--cert={self.ca_file}", f"--key={self._key_file}"]

    def environment(self, directory: Path) -> dict[str, str]:
        """A copy asks the source over HTTPS too, of Azurite itself."""
        return {"NODE_EXTRA_CA_CERTS": str(self.ca_file)}

    def service(self) -> BlobServiceClient:
        return BlobServiceClient.from_connection_string(
            self.connection_string, retry_total=0, connection_verify=str(self.ca_file)
        )

    def credential(self) -> ManagedIdentity:
        return ManagedIdentity()


class ManagedIdentity:
    """A TokenCredential; ``asked`` counts its tokens."""

    def __init__(self) -> None:
        self.asked = 0
        self._object_id = str(uuid.uuid4())
        self._tenant_id = str(uuid.uuid4())

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        self.asked += 1
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com",
            "iss": ISSUER,
            "iat": now - 60,
            "nbf": now - 60,
            "exp": now + 3600,
            "oid": self._object_id,
            "tid": self._tenant_id,
        }
        token = f"{_segment({'alg': 'none', 'typ': 'JWT'})}.{_segment(claims)}."
        return AccessToken(token, now + 3600)

    def close(self) -> None:
        """Nothing is open."""


def _segment(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def make_certificate(certificate_file: Path, key_file: Path) -> None:
    """Self-signed, for 127.0.0.1 and localhost, good for two days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "async_uploads tests")])
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
