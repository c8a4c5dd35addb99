"""A party's identity as files: an Ed25519 signing key, an X25519 key to which others seal, and, as gRPC's TLS does
not take Ed25519, a P-256 TLS key.

The certificate is self-signed and pinned by the study, so its dates carry no meaning: it never expires, and a
lost key is replaced by a new version of the study. Private keys may be encrypted with a passphrase (PKCS #8); they are
decrypted in memory only.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime

import tomli_w
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum.identity import SigningIdentity
from fedglmm_secure.securesum.sealed import EncryptionIdentity

SERVER_NAME = "fedglmm"
"""The subject alternative name of every certificate: hosts change, the pinned certificate is what counts."""

SIGNING_KEY = "signing.key"
ENCRYPTION_KEY = "encryption.key"
"""Not in the folders of earlier versions; only threshold Paillier needs it."""
TLS_KEY = "tls.key"
TLS_CERTIFICATE = "tls.crt"
PUBLIC = "public.toml"
PRIVATE_FILES = (SIGNING_KEY, ENCRYPTION_KEY, TLS_KEY)
"""Must be readable by their owner only (mode 600)."""

_NOT_BEFORE = datetime(2000, 1, 1, tzinfo=UTC)
_NO_EXPIRY = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""RFC 5280, section 4.1.2.5: a certificate without a well-defined end."""


@dataclass(frozen=True)
class Identity:
    """What a party keeps: the contents of its key files, encrypted where the files are. Its ``repr`` hides them."""

    signing_key_pem: bytes = field(repr=False)
    tls_key_pem: bytes = field(repr=False)
    certificate_pem: bytes = field(repr=False)
    encryption_key_pem: bytes | None = field(default=None, repr=False)
    passphrase: bytes | None = field(default=None, repr=False)
    """What the private keys are encrypted with."""

    @property
    def signing(self) -> SigningIdentity:
        """The signing key; InputError when the file is not an Ed25519 private key in PEM."""
        key = _load_key(self.signing_key_pem, SIGNING_KEY, self.passphrase)
        if not isinstance(key, Ed25519PrivateKey):
            raise InputError(f"{SIGNING_KEY} is not an Ed25519 key; make one with `fedglmm keys new`")
        return SigningIdentity(key)

    @property
    def encryption(self) -> EncryptionIdentity:
        """The encryption key; InputError when there is none, or the file is not an X25519 private key in PEM."""
        if self.encryption_key_pem is None:
            raise InputError(
                f"{ENCRYPTION_KEY} is missing, as these keys were made by an earlier version; make new keys with "
                "`fedglmm keys new` and have the study's author add their public.toml"
            )
        key = _load_key(self.encryption_key_pem, ENCRYPTION_KEY, self.passphrase)
        if not isinstance(key, X25519PrivateKey):
            raise InputError(f"{ENCRYPTION_KEY} is not an X25519 key; make one with `fedglmm keys new`")
        return EncryptionIdentity(key)

    @property
    def encryption_key(self) -> str:
        """The encryption key's public half, base64, as the study's roster has it; InputError as ``encryption``."""
        return base64.b64encode(self.encryption.public_bytes).decode()

    @property
    def clear_tls_key(self) -> bytes:
        """The TLS key in PEM without encryption, as gRPC takes it: never to be written anywhere."""
        key = _load_key(self.tls_key_pem, TLS_KEY, self.passphrase)
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public_key(self) -> str:
        """The signing key's public half, base64, as the study's roster has it."""
        return base64.b64encode(self.signing.public_bytes).decode()

    @property
    def certificate(self) -> str:
        """The TLS certificate in PEM, as the study has it."""
        return self.certificate_pem.decode()

    def check(self) -> None:
        """Raise InputError for a key that is none, or cannot be decrypted, or a certificate of another key."""
        _ = self.signing
        own = x509.load_der_x509_certificate(certificate_der(self.certificate_pem)).public_key()
        public = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        key = _load_key(self.tls_key_pem, TLS_KEY, self.passphrase)
        if own.public_bytes(*public) != key.public_key().public_bytes(*public):
            raise InputError(f"{TLS_KEY} and {TLS_CERTIFICATE} are not of one pair; put back the ones made together")

    def files(self) -> dict[str, bytes]:
        """Name and content of the files of a keys folder; those in PRIVATE_FILES need mode 600."""
        public = {"public_key": self.public_key, "certificate": self.certificate}
        encryption = {}
        if self.encryption_key_pem is not None:
            public["encryption_key"] = self.encryption_key
            encryption[ENCRYPTION_KEY] = self.encryption_key_pem
        return {
            SIGNING_KEY: self.signing_key_pem,
            **encryption,
            TLS_KEY: self.tls_key_pem,
            TLS_CERTIFICATE: self.certificate_pem,
            PUBLIC: tomli_w.dumps(public, multiline_strings=True).encode(),
        }


def generate(passphrase: bytes | None = None) -> Identity:
    """A new identity, from the operating system's randomness; its private keys encrypted with ``passphrase``."""
    signing, tls = Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
    protection = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    pem = (Encoding.PEM, PrivateFormat.PKCS8, protection)
    certificate = _self_signed(tls).public_bytes(Encoding.PEM)
    encryption = X25519PrivateKey.generate().private_bytes(*pem)
    return Identity(signing.private_bytes(*pem), tls.private_bytes(*pem), certificate, encryption, passphrase)


def is_encrypted(pem: bytes) -> bool:
    """Whether a private key's file needs a passphrase."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem


def certificate_der(pem: str | bytes) -> bytes:
    """The DER bytes of the one certificate in ``pem``; InputError when there is none."""
    try:
        loaded = x509.load_pem_x509_certificate(pem.encode() if isinstance(pem, str) else pem)
    except ValueError as error:
        raise InputError(
            "a certificate is not in PEM; copy it again from the public.toml of the party it is of"
        ) from error
    return loaded.public_bytes(Encoding.DER)


def _load_key(pem: bytes, name: str, passphrase: bytes | None) -> PrivateKeyTypes:
    encrypted = is_encrypted(pem)
    try:
        return load_pem_private_key(pem, password=passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        wrong = "cannot be decrypted with this passphrase; give the one that it was made with"
        remedy = wrong if encrypted else "is not a private key in PEM; make one with `fedglmm keys new`"
        raise InputError(f"{name} {remedy}") from None


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    serial = x509.random_serial_number()
    # A subject of its own, so that a server with many such roots finds the right one.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{SERVER_NAME} {serial:x}")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NO_EXPIRY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, SHA256())
    )
