"""Strangers on the coordinator's port: the study in progress does not notice them."""

from __future__ import annotations

import contextlib
import resource
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from fedglmm_coordinator.limits import CALLS_OF_A_SITE, OWN_FILES
from fedglmm_secure.wire import identity
from fedglmm_secure.wire.codec import METHOD
from fedglmm_secure.wire.identity import SERVER_NAME

IDLE = 1000
MOST_FILES = 256


@pytest.fixture
def port(deploy, address):
    """A coordinator that waits for its sites, and the rest of the study."""
    deployment = deploy()
    coordinator = deployment.coordinator()
    host, _, number = address(coordinator).rpartition(":")
    return deployment, coordinator, (host, int(number))


def the_study_is_fitted(deployment, coordinator, sites, where) -> None:
    joined = [deployment.site(name, f"{where[0]}:{where[1]}") for name in sites]
    assert [coordinator.end(), *(site.end() for site in joined)] == [0] * 5
    assert "turned away" not in coordinator.stderr


@contextlib.contextmanager
def connections(where: tuple[str, int], count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_connection(where, 10.0)) for _ in range(count)]


def test_a_thousand_idle_connections(port, sites):
    deployment, coordinator, where = port
    with connections(where, IDLE):
        the_study_is_fitted(deployment, coordinator, sites, where)


def test_idle_connections_leave_the_coordinator_files_of_its_own(deploy, address, sites):
    """It could not write its result, as the first file that it opened then was one too many."""
    deployment = deploy()
    coordinator = deployment.coordinator()
    resource.prlimit(coordinator.pid, resource.RLIMIT_NOFILE, (MOST_FILES, MOST_FILES))
    host, _, number = address(coordinator).rpartition(":")
    open_files = Path(f"/proc/{coordinator.pid}/fd")
    with connections((host, int(number)), 2 * MOST_FILES):
        time.sleep(1.0)
        assert MOST_FILES // 2 < len(list(open_files.iterdir())) <= MOST_FILES - OWN_FILES // 2
        the_study_is_fitted(deployment, coordinator, sites, (host, int(number)))


def test_no_module_is_loaded_when_strangers_may_have_taken_all_files(port):
    """The first fit of a coordinator at its limit ended in "Too many open files"."""
    _, coordinator, _ = port
    assert "/scipy/optimize/" in Path(f"/proc/{coordinator.pid}/maps").read_text()


@pytest.mark.parametrize(
    "words", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", secrets.token_bytes(100_000), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ids=["plain HTTP", "random bytes", "HTTP/2 without TLS"],
)  # fmt: skip
def test_words_that_are_no_tls(port, sites, words):
    deployment, coordinator, where = port
    with connections(where, 20) as lines:
        for line in lines:
            with contextlib.suppress(OSError):
                line.sendall(words)
        the_study_is_fitted(deployment, coordinator, sites, where)
    assert all(ended(line) for line in lines)


def ended(line: socket.socket) -> bool:
    """Closed by us, since the with-block is over: what matters is that nothing was ever answered in clear."""
    return line.fileno() == -1


@pytest.mark.parametrize("own", [None, "stranger"])
def test_certificates_that_nobody_knows(port, sites, own, tmp_path):
    deployment, coordinator, where = port
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if own is not None:
        stranger = identity.generate()
        (tmp_path / "crt").write_bytes(stranger.certificate_pem)
        (tmp_path / "key").write_bytes(stranger.tls_key_pem)
        context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    heard = b"not closed"
    with socket.create_connection(where, 10.0) as plain, contextlib.suppress(ssl.SSLError, ConnectionResetError):
        heard = b""
        with context.wrap_socket(plain) as secure:
            heard = secure.recv(100)
    assert heard == b""
    the_study_is_fitted(deployment, coordinator, sites, where)


def test_a_message_of_a_gigabyte_and_a_slow_reader(port, sites):
    """By a site of the study itself: what it is told concerns it alone."""
    deployment, coordinator, where = port
    own, root = deployment.identities["1_UM"], deployment.identities["coordinator"].certificate_pem
    credentials = grpc.ssl_channel_credentials(root, own.tls_key_pem, own.certificate_pem)
    options = (("grpc.ssl_target_name_override", SERVER_NAME), ("grpc.max_send_message_length", -1))
    with grpc.secure_channel(f"{where[0]}:{where[1]}", credentials, options=options) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            channel.unary_unary(METHOD)(bytes(2**30), timeout=60.0)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    with connections(where, 1) as (slow,):
        context = ssl.create_default_context(cadata=root.decode())
        context.check_hostname = False
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        with contextlib.suppress(ssl.SSLError, OSError):
            context.wrap_socket(slow).sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        time.sleep(0.2)
        the_study_is_fitted(deployment, coordinator, sites, where)


@pytest.mark.parametrize("name", ["1_UM", "coordinator"])
def test_calls_whose_message_never_comes_are_counted_on_all_connections(port, sites, name):
    """Each would let gRPC hold as much of a message as comes, before any code of the coordinator hears of the call."""
    deployment, coordinator, where = port
    own, root = deployment.identities[name], deployment.identities["coordinator"].certificate_pem
    credentials = grpc.ssl_channel_credentials(root, own.tls_key_pem, own.certificate_pem)
    options = (("grpc.ssl_target_name_override", SERVER_NAME), ("grpc.use_local_subchannel_pool", 1))
    done = threading.Event()

    def silence() -> Iterator[bytes]:
        done.wait()
        yield from ()

    with contextlib.ExitStack() as stack:
        channels = [
            stack.enter_context(grpc.secure_channel(f"{where[0]}:{where[1]}", credentials, options=options))
            for _ in range(CALLS_OF_A_SITE + 3)
        ]
        stack.callback(done.set)
        methods = (METHOD, "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch")
        silent = [
            channel.stream_stream(methods[i % 3])(silence(), timeout=60.0) for i, channel in enumerate(channels[1:])
        ]
        deadline = time.monotonic() + 30.0
        while (turned_away := refused(channels[0])) is None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert "has 8 calls open already" in turned_away
        while sum(not call.done() for call in silent) != CALLS_OF_A_SITE:  # the others have been turned away
            assert time.monotonic() < deadline
            time.sleep(0.1)
        for call in silent:
            call.cancel()
        while refused(channels[0]) is not None:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    the_study_is_fitted(deployment, coordinator, sites, where)


def refused(channel: grpc.Channel) -> str | None:
    call = channel.unary_unary("/grpc.health.v1.Health/Check").future(b"", timeout=10.0)
    if call.code() is grpc.StatusCode.OK:
        return None
    assert call.code() is grpc.StatusCode.UNAVAILABLE
    return call.details()
