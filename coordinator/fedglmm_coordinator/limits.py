"""What one machine may take of the coordinator, so that nobody can keep it from the others."""

from __future__ import annotations

import resource

from fedglmm_secure.errors import InputError
from fedglmm_secure.wire.limits import MAX_MESSAGE_BYTES

CALLS_OF_A_SITE = 8
"""A site has one call open; after a broken line some more may not have ended yet."""

OWN_FILES = 64
"""Files that connections leave to the program itself: its store, log and transcript, and what a result takes."""


def options(largest: int) -> tuple[tuple[str, int], ...]:
    """What gRPC is told for the coordinator of a study whose sites' messages have at most ``largest`` bytes."""
    return (
        ("grpc.max_receive_message_length", largest),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.http2.bdp_probe", 0),  # else what a connection may send unread grows to megabytes
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.max_allowed_incoming_connections", most_connections()),
        ("grpc.max_concurrent_streams", 2 * CALLS_OF_A_SITE),
        ("grpc.so_reuseport", 0),  # a second coordinator on the same port must fail, not share it
        # A connection that does not come to an end of its handshake is closed; one that is lost is noticed.
        ("grpc.server_handshake_timeout_ms", 10_000),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),  # sites ping too, through their proxies
        ("grpc.keepalive_permit_without_calls", 1),
    )


def most_connections() -> int:
    """How many connections may be open at once, those of strangers included: what is beyond is closed at once."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(max(files - OWN_FILES, files // 2), 2**31 - 1) if files > 0 else 2**31 - 1


def take_all_files(sites: int) -> None:
    """Let this process have as many connections open as the system allows; InputError where ``sites`` have no room."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most_connections() < sites:
        raise InputError(
            f"this process may have {most} files open, too few for the connections of {sites} sites; allow it "
            f"{sites + OWN_FILES} or more (`ulimit -n`, or LimitNOFILE= of its service)"
        )
