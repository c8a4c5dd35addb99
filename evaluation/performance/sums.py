"""A protected sum over gRPC, timed: the coordinator's server and the sites' links, with mutual TLS, in one process."""

from __future__ import annotations

import asyncio
import math
import secrets
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import grpc
import grpc.aio
import numpy as np

from fedglmm_coordinator.log import Log
from fedglmm_coordinator.server import Exchange, server_credentials, start_server
from fedglmm_coordinator.session import Session
from fedglmm_coordinator.store import Store
from fedglmm_coordinator.transcript import Transcript
from fedglmm_secure import Study
from fedglmm_secure.estimate import FitResult
from fedglmm_secure.exchange import Conductor
from fedglmm_secure.model.questions import Describe, Question
from fedglmm_secure.ring import Vector
from fedglmm_secure.securesum import Policy, Relay, Seed, Site, SumRequest
from fedglmm_secure.securesum.seed import SEED_BYTES
from fedglmm_secure.shell import write_identity
from fedglmm_secure.wire import identity
from fedglmm_secure.wire.certificates import coordinator_trust
from fedglmm_secure.wire.codec import encode_site
from fedglmm_secure.wire.messages import Next, Stopped
from fedglmm_secure.wire.terms import terms_of
from fedglmm_site.audit import AuditLog
from fedglmm_site.journal import Journal
from fedglmm_site.link import Link

SUMS = 60
"""Sums timed; the median counts."""


@dataclass(frozen=True)
class Cost:
    """Medians: milliseconds of a sum and of an empty round trip, bytes that a site sends for a sum."""

    sum_ms: float
    empty_ms: float
    bytes_per_site: float


@dataclass(frozen=True)
class _Numbers(Describe):
    """A question with any number of slots, for which no data are needed."""

    count: int = 1

    def slots(self, layout: object) -> tuple[str, ...]:
        return tuple(map(str, range(self.count)))


def sum_over_grpc(sites: int, numbers: int, protocol: str, dropouts: int = 0) -> Cost:
    """Median cost of a sum of ``numbers`` numbers over ``sites`` sites."""
    names = [f"site-{i:03}" for i in range(sites)]
    own = identity.generate()
    keys = {name: identity.generate() for name in names}
    study = _study(names, dropouts, numbers).replaced(
        protocol=protocol,  # type: ignore[arg-type]
        identities={name: (key.public_key, key.certificate) for name, key in keys.items()},
        coordinator_certificate=own.certificate,
    )
    with TemporaryDirectory() as folder:
        for name, key in keys.items():
            write_identity(Path(folder) / name, key)
        return asyncio.run(_run(study, own, Path(folder), numbers))


async def _run(study: Study, own: identity.Identity, folder: Path, numbers: int) -> Cost:
    moments: list[float] = []

    def fit() -> Generator[Question, Vector, FitResult]:
        for _ in range(SUMS):
            yield _Numbers(numbers)
            moments.append(time.perf_counter())
        raise RuntimeError("measured")

    empty_server, empty_address = await _empty_server(study, own)
    empty = await asyncio.to_thread(_empty_round_trips, study, empty_address, folder / study.sites[0].name)
    await empty_server.stop(grace=0.1)
    store = Store(folder / "store.sqlite", study)
    conductor = Conductor(study, fit, randomness=secrets.token_bytes, keep=lambda _: "", ledger=store)
    session = Session(conductor, [site.name for site in study.sites], say=lambda _: None)
    log = Log(folder / "log.jsonl", lambda: datetime.now(UTC), lambda _: None)
    with Transcript(folder / "transcript.jsonl", time.time) as transcript, store, log:
        server, address = await start_server(Exchange(study, session, transcript, log), study, own, "127.0.0.1:0")
        names = [site.name for site in study.sites]
        barrier = threading.Barrier(len(names))
        with ThreadPoolExecutor(len(names)) as pool:
            work = [
                asyncio.get_running_loop().run_in_executor(
                    pool, _take_part, study, name, folder, address, numbers, barrier
                )
                for name in names
            ]
            await session.run(60.0, 60.0)
            await session.wait_until_told(5.0)
            sent = await asyncio.gather(*work)
        await server.stop(grace=0.5)
    return Cost(1e3 * median(np.diff(moments)), 1e3 * median(empty), float(np.mean(sent)))


def _take_part(study: Study, name: str, folder: Path, address: str, numbers: int, barrier: threading.Barrier) -> float:
    """One site's part in every sum; bytes a sum."""
    own = folder / name
    audit = _audit_log(study, own)
    link = _link(study, address, own, audit)
    barrier.wait()
    values, slots = np.random.default_rng(0).normal(size=numbers), tuple(map(str, range(numbers)))
    seed = Seed(secrets.token_bytes(SEED_BYTES))
    terms, policy = terms_of(study), Policy(allow_plain=True)
    site = Site(terms, _identity(own).signing, policy, seed, randomness=secrets.token_bytes)
    size = 0
    with audit, Journal(own / "journal.jsonl") as journal:
        reply = link.send(site.hello())
        while not isinstance(reply, Stopped):
            if isinstance(reply, Next) and reply.offer is not None:
                site.open(reply.offer)
            received = reply.request if isinstance(reply, Next) else reply
            assert isinstance(received, SumRequest | Relay), received
            step = site.receive(received) or site.answer(values, slots)
            assert step.record is not None
            journal.append(step.record)
            size += len(encode_site(step.message))
            reply = link.send(step.message)
    link.close()
    return size / SUMS


async def _empty_server(study: Study, own: identity.Identity) -> tuple[grpc.aio.Server, str]:
    """A server with the same TLS and one method that does nothing."""

    async def nothing(_: bytes, __: object) -> bytes:
        return b""

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(nothing)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("none", {"Empty": handler}),))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(study, own))
    await server.start()
    return server, f"127.0.0.1:{port}"


def _empty_round_trips(study: Study, address: str, keys: Path) -> list[float]:
    """Seconds of calls of the method that does nothing."""
    with _audit_log(study, keys) as audit:
        link = _link(study, address, keys, audit)
    call = link._channel.unary_unary("/none/Empty", request_serializer=bytes, response_deserializer=bytes)
    times = []
    for _ in range(SUMS):
        began = time.perf_counter()
        call(b"")
        times.append(time.perf_counter() - began)
    link.close()
    return times[5:]


def _link(study: Study, address: str, keys: Path, audit: AuditLog) -> Link:
    return Link(
        address, pinned=coordinator_trust(study), keys=keys, identity=_identity(keys), timeout=30.0,
        say=lambda _: None, audit=audit,
    )  # fmt: skip


def _audit_log(study: Study, keys: Path) -> AuditLog:
    peer = identity.certificate_der(study.coordinator.certificate or "")
    return AuditLog(keys, study_digest=study.digest, site=keys.name, signing=_identity(keys).signing, peer=peer)


def _identity(folder: Path) -> identity.Identity:
    return identity.Identity(
        *((folder / name).read_bytes() for name in (identity.SIGNING_KEY, identity.TLS_KEY, identity.TLS_CERTIFICATE))
    )


def _study(names: list[str], dropouts: int, numbers: int) -> Study:
    """A study with so many covariates that a sum of ``numbers`` is one of its own."""
    covariates = [f"x{i}" for i in range(math.isqrt(2 * numbers))]
    return Study.from_dict(
        {
            "study": {"id": "bench"},
            "model": {
                "formula": f"y ~ {' + '.join(covariates)} + (1 | site)",
                "family": "binomial",
                "max_rounds": SUMS + 1,
            },
            "variables": {
                "y": {"type": "binary", "levels": [0, 1]},
                **{name: {"type": "numeric", "range": [0.0, 1.0]} for name in covariates},
            },
            "security": {"minimum_sites": 2, "dropouts": dropouts},
            "sites": [{"name": name} for name in names],
        },
        "bench",
    )
