"""Whose certificate the other end has: gRPC does not say, so the ssl module looks, at first and where TLS failed."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from fedglmm_secure.errors import RefusalError
from fedglmm_secure.wire.certificates import Trust, out_of_date

_PROBE_SECONDS = 3.0
_PAUSES = (1.0, 2.0)
"""Seconds between looks. gRPC says nothing when it turns a certificate down, it closes the line: so does a coordinator
that is being stopped, and a line that breaks just there. But they do not go on doing so."""


def known_certificate(
    address: tuple[str, int], pinned: Trust, certificate: Path, key: Path, passphrase: bytes | None
) -> bytes | None:
    """The certificate (DER) of the coordinator as ``pinned`` knows it, None where it has another, or nobody listens."""
    with contextlib.suppress(OSError), _connection(address, certificate, key, passphrase) as secure:
        presented = secure.getpeercert(binary_form=True) or b""
        return presented if pinned.knows(presented) else None
    return None


def certificate_fault(
    address: tuple[str, int], pinned: Trust, certificate: Path, key: Path, passphrase: bytes | None, *, accepted: bool
) -> RefusalError | None:
    """What is wrong with the certificates: the coordinator's is not that of ``pinned``, or it turns ours down.

    None when nothing is wrong with them, or when nobody listens: then it is worth trying again. A fault must be there
    at every look. ``accepted``: the coordinator has answered before, so it does not turn ours down.
    """
    fault = _fault(address, pinned, certificate, key, passphrase, accepted=accepted)
    for pause in _PAUSES:
        if fault is None:
            return None
        time.sleep(pause)
        fault = _fault(address, pinned, certificate, key, passphrase, accepted=accepted)
    return fault


def _fault(
    address: tuple[str, int], pinned: Trust, certificate: Path, key: Path, passphrase: bytes | None, *, accepted: bool
) -> RefusalError | None:
    with contextlib.suppress(OSError), _connection(address, certificate, key, passphrase) as secure:
        presented = secure.getpeercert(binary_form=True) or b""
        if not pinned.knows(presented):  # (rule 7)
            return RefusalError(
                "the coordinator has another certificate than the one in the study; check the address, and that it "
                "was started with the keys that the study names"
            )
        if fault := out_of_date(presented, datetime.now(UTC)):
            return RefusalError(f"the coordinator's certificate {fault}; ask its operator to renew it")
        if not accepted and not _is_kept_open(secure):
            return RefusalError(
                "the coordinator does not accept this site's certificate; compare the two study files, whose digests "
                "must be equal"
            )
    return None


@contextlib.contextmanager
def _connection(
    address: tuple[str, int], certificate: Path, key: Path, passphrase: bytes | None
) -> Iterator[ssl.SSLSocket]:
    """A connection on which nothing is sent: whose it is, the caller finds out."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(certificate, key, passphrase)
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(address, _PROBE_SECONDS) as plain, context.wrap_socket(plain) as secure:
        yield secure


def _is_kept_open(secure: ssl.SSLSocket) -> bool:
    """Whether the server speaks first, as HTTP/2 does at once, or only waits.

    In TLS 1.3 its verdict on our certificate comes after the handshake: an alert, or just the end.
    """
    try:
        return bool(secure.recv(1))
    except TimeoutError:
        return True
    except (ssl.SSLError, ConnectionResetError):
        return False
