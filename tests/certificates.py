"""Certificates for tests: an authority of our own and a name on this machine."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


@dataclass(frozen=True)
class Certificate:
    """Files: the authority that signed it, the certificate, its key."""

    authority: Path
    certificate: Path
    key: Path


def certificate(folder: Path, *, ip: str = "127.0.0.1", name: str = "localhost") -> Certificate:
    """A certificate for ``ip`` and ``name``, good for a day around now."""
    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of a test")])
    now = datetime.now(UTC)

    def built(subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> x509.Certificate:
        made = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )  # fmt: skip
        if not ca:
            names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address(ip))])
            made = made.add_extension(names, critical=False).add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
            )
        return made.sign(root, hashes.SHA256())

    def written(file: str, what: bytes) -> Path:
        path = folder / file
        path.write_bytes(what)
        path.chmod(0o600)
        return path

    pem = serialization.Encoding.PEM
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    private = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Certificate(
        written("authority.pem", built(issuer, root, ca=True).public_bytes(pem)),
        written("certificate.pem", built(subject, own, ca=False).public_bytes(pem)),
        written("key.pem", private),
    )
