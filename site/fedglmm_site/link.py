"""The connection to the coordinator: TLS that trusts the study's certificate alone, one method, retries."""

from __future__ import annotations

import hashlib
import random
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import grpc

from fedglmm_secure import shell
from fedglmm_secure.errors import FedglmmError, LinkError, PeerError
from fedglmm_secure.wire import status
from fedglmm_secure.wire.audit import subject
from fedglmm_secure.wire.certificates import Trust
from fedglmm_secure.wire.codec import METHOD, decode_coordinator, encode_site
from fedglmm_secure.wire.identity import TLS_CERTIFICATE, TLS_KEY, Identity
from fedglmm_secure.wire.limits import CALL_SECONDS, MAX_MESSAGE_BYTES
from fedglmm_secure.wire.messages import CoordinatorMessage, SiteMessage, Stopped
from fedglmm_site.audit import Audit
from fedglmm_site.handshake import certificate_fault, known_certificate

OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.enable_http_proxy", 0),  # a proxy of the environment must not see where a hospital connects to
    # A line that died without a word is noticed within a minute, and one that only waits is kept open by firewalls.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two attempts: doubled each time, then drawn between half and all of it."""

SAME_AGAIN_SECONDS = 1.0
"""Before what was sent once is sent again: a coordinator that says at once that it has nothing new must not keep this
site and its audit log busy. An honest one holds a poll open much longer."""

LAST_TRIES = 5
"""Attempts to say the last word."""


class Link:
    """Sends messages and returns their answers, over as many connections as it takes."""

    def __init__(
        self,
        address: str,
        *,
        pinned: Trust,
        keys: Path,
        identity: Identity,
        timeout: float,
        say: Callable[[str], None],
        audit: Audit,
    ) -> None:
        """``pinned``: by which certificate the coordinator is known; ``identity``: what the folder ``keys`` holds.

        ``send`` gives up after ``timeout`` seconds.
        """
        self._address = address
        self._endpoint = shell.parse_address("--coordinator", address, "fit.example.org:7443", lowest=1)
        self._pinned, self._identity = pinned, identity
        self._keys, self._timeout, self._say, self._audit = keys, timeout, say, audit
        self._channel = self._connect()
        self._is_known = False
        self._sent: set[bytes] = set()
        self._sent_at = time.monotonic()

    def send(self, message: SiteMessage) -> CoordinatorMessage:
        """The answer to ``message``, which is sent again while the coordinator cannot be reached.

        What was sent before is not sent again within SAME_AGAIN_SECONDS of the last message.
        A coordinator that turns the message down, or a certificate that either side turns down, gives Stopped.
        Raises LinkError after the time-out.
        """
        self._pace(encode_site(message))
        data, pause, deadline = self._encode(message), FIRST_PAUSE, time.monotonic() + self._timeout
        while True:
            try:
                return self._try(data)
            except LinkError as error:
                if pause == FIRST_PAUSE:
                    self._say(f"{error}; trying again")
                if time.monotonic() + pause > deadline:
                    raise LinkError(
                        f"no answer from the coordinator at {self._address} for {self._timeout:g} seconds; "
                        "check that it runs and can be reached, or raise --timeout"
                    ) from error
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  not a secret: keeps sites from knocking at once
            pause = min(2 * pause, LONGEST_PAUSE)
            self._channel.close()
            self._channel = self._connect()

    def send_last(self, message: SiteMessage, seconds: float) -> None:
        """Send for the other's information, a few times if the line breaks; not being heard is no error."""
        data = self._encode(message)
        for _ in range(LAST_TRIES):
            try:
                self._decode(self._method()(data, timeout=seconds))
            except grpc.RpcError:
                self._channel.close()
                self._channel = self._connect()
            except PeerError:
                return  # heard, and answered with what concerns nobody any more
            else:
                return
        self._say("the coordinator could not be told")

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def _pace(self, data: bytes) -> None:
        digest = hashlib.sha256(data).digest()
        if digest in self._sent:
            time.sleep(max(0.0, self._sent_at + SAME_AGAIN_SECONDS - time.monotonic()))
        self._sent.add(digest)
        self._sent_at = time.monotonic()

    def _try(self, data: bytes) -> CoordinatorMessage:
        """One attempt; LinkError when another one may succeed."""
        try:
            answer = self._method()(data, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            verdict = self._verdict(error)
            self._audit.received(f"status:{error.code().name.lower()}", (error.details() or "").encode())
            return Stopped(verdict)
        self._is_known = True
        return self._decode(answer)

    def _encode(self, message: SiteMessage) -> bytes:
        """The message as bytes, which stand in the audit log before they leave."""
        data, about = encode_site(message), subject(message)
        self._audit.sent(about.kind, data, session=about.session, number=about.number)
        return data

    def _decode(self, answer: bytes) -> CoordinatorMessage:
        """What was answered, which stands in the audit log even if it cannot be read."""
        try:
            message = decode_coordinator(answer)
        except PeerError:
            self._audit.received("unreadable", answer)
            raise
        about = subject(message)
        self._audit.received(about.kind, answer, session=about.session, number=about.number)
        return message

    def _method(self) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
        return self._channel.unary_unary(METHOD, request_serializer=bytes, response_deserializer=bytes)

    def _verdict(self, error: grpc.RpcError) -> FedglmmError:
        """Why it is no use to try again."""
        code, details = error.code(), error.details() or ""
        if code is grpc.StatusCode.UNAVAILABLE:
            fault = certificate_fault(*self._handshake, accepted=self._is_known)
            if fault is not None:
                return fault
        meaning = status.from_status(code.name, details)
        if isinstance(meaning, LinkError):
            raise LinkError(f"no answer from the coordinator at {self._address} ({details})") from error
        return meaning

    @property
    def _handshake(self) -> tuple[tuple[str, int], Trust, Path, Path, bytes | None]:
        """What a look at the coordinator's certificate takes."""
        files = self._keys / TLS_CERTIFICATE, self._keys / TLS_KEY
        return self._endpoint, self._pinned, *files, self._identity.passphrase

    def _root(self) -> bytes:
        """The only certificate that TLS takes at the other end.

        With an authority as its root TLS would take more than the study says: a certificate for ``*.example.org``, of
        another authority below it, or with the name in its subject. So the root is the coordinator's own, once it
        is known; else this site's, which is nobody's there: the connection fails, and why is found out.
        """
        if self._pinned.name is None:
            return self._pinned.pem.encode()
        known = known_certificate(*self._handshake)
        return ssl.DER_cert_to_PEM_cert(known).encode() if known else self._identity.certificate_pem

    def _connect(self) -> grpc.Channel:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=self._root(),
            private_key=self._identity.clear_tls_key,
            certificate_chain=self._identity.certificate_pem,
        )
        name = ("grpc.ssl_target_name_override", self._pinned.server_name)
        return grpc.secure_channel(self._address, credentials, options=(name, *OPTIONS))
