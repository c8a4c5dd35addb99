"""Why a TLS connection failed: gRPC only says "unavailable", so the ssl module looks at the certificates."""

from __future__ import annotations

import contextlib
import socket
import ssl
from pathlib import Path

from fedglmm_secure.errors import RefusalError

_PROBE_SECONDS = 3.0


def check_certificates(address: tuple[str, int], pinned: bytes, certificate: Path, key: Path) -> None:
    """Raise RefusalError when the coordinator's certificate is not ``pinned`` (DER), or it turns ours down.

    Returns when nothing is wrong with the certificates, or when nobody listens: then it is worth trying
    again.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the certificate is compared below; nothing is sent on this connection
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    with contextlib.suppress(OSError), socket.create_connection(address, _PROBE_SECONDS) as plain:
        try:
            with context.wrap_socket(plain) as secure:
                if secure.getpeercert(binary_form=True) != pinned:
                    raise RefusalError(
                        "the coordinator has another certificate than the one in the study; check the "
                        "address, and that it was started with the keys that the study names"
                    )
                secure.recv(1)  # in TLS 1.3 the server's verdict on our certificate comes after the handshake
        except ssl.SSLError as error:
            if "ALERT" in (error.reason or ""):
                raise RefusalError(
                    "the coordinator does not accept this site's certificate; compare the two study files, "
                    "whose digests must be equal"
                ) from error
