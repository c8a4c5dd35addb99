"""Lines that break, lag, lie dead or deliver late: the fit ends in the same answer, and every program with 0."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import signal
import socket
import ssl
import time

import pytest

from fedglmm_secure.securesum.messages import SumMessage
from fedglmm_secure.wire.codec import decode_site
from fedglmm_secure.wire.records import read_transcript


@pytest.fixture(scope="module")
def answer(finished_fit):
    """What a fit finds whose lines are good."""
    return estimates(finished_fit)


def estimates(deployment) -> tuple[list[float], list[float], float]:
    result = json.loads((deployment.out("coordinator") / "result.json").read_text())
    fixed = [effect["estimate"] for effect in result["fixed_effects"]]
    return fixed, result["random_effects"][0]["std_dev"], result["log_likelihood"]


def all_end_well(coordinator, joined) -> None:
    assert [coordinator.end(), *(site.end() for site in joined)] == [0] * (1 + len(joined)), coordinator.stderr
    for program in (coordinator, *joined):
        assert "Traceback" not in program.stderr


def received(deployment):
    text = (deployment.out("coordinator") / "transcript.jsonl").read_text()
    return [(site, decode_site(data)) for site, data in read_transcript(text)]


def await_sum(coordinator, number: int) -> None:
    coordinator.await_stderr(f"sum {number:>2} ")


@pytest.mark.parametrize("changes", [{}, {"security__dropouts": 1}], ids=["masking", "masking with dropouts"])
def test_lines_that_are_cut_again_and_again(deploy, sites, address, line, answer, changes):
    """Within handshakes, requests and answers, after random numbers of bytes."""
    deployment = deploy(**changes)
    coordinator = deployment.coordinator("--linger", 40)  # a last word that is cut off is waited for
    where = address(coordinator)
    draw = random.Random(1).randint
    lines = [line(where, delay=0.005, budgets=(draw(500, 20_000) for _ in itertools.count())) for _ in sites]
    joined = [deployment.site(name, cut.address) for name, cut in zip(sites, lines, strict=True)]
    all_end_well(coordinator, joined)
    assert all(cut.cuts > 0 for cut in lines), [cut.cuts for cut in lines]
    assert estimates(deployment) == answer


def test_lines_that_lag(deploy, sites, address, line, answer):
    deployment = deploy()
    coordinator = deployment.coordinator()
    where = address(coordinator)
    joined = [
        deployment.site(name, line(where, delay=delay).address)
        for name, delay in zip(sites, (0, 0.05, 0.2, 0.5), strict=True)
    ]
    all_end_well(coordinator, joined)
    assert estimates(deployment) == answer


def test_a_line_that_is_dead_without_a_sign(deploy, sites, address, line, answer):
    """Neither end is told: keepalive pings notice it, or at the latest the deadline of the call."""
    deployment = deploy()
    coordinator = deployment.coordinator()
    where = address(coordinator)
    dead = line(where, delay=0.1)
    joined = [deployment.site(name, dead.address if name == sites[0] else where) for name in sites]
    joined[0].await_stderr("sum 2")
    dead.swallow(on=True)
    joined[0].await_stderr("trying again")
    dead.swallow(on=False)
    all_end_well(coordinator, joined)
    assert estimates(deployment) == answer


def test_the_last_answer_is_lost(deploy, sites, address, line, answer, finished_fit):
    """The coordinator has the result and gave it, but stays until every site said that it arrived."""
    sums = json.loads((finished_fit.out("coordinator") / "result.json").read_text())["security"]["sums"]
    deployment = deploy()
    coordinator = deployment.coordinator()
    where = address(coordinator)
    lossy = line(where, delay=0.5)
    joined = [deployment.site(name, lossy.address if name == sites[0] else where) for name in sites]
    await_sum(coordinator, sums)
    lossy.hold()
    assert [site.end() for site in joined[1:]] == [0, 0, 0]
    lossy.cut()
    lossy.release()
    all_end_well(coordinator, joined)
    assert estimates(deployment) == answer


def test_what_was_sent_on_an_old_connection_arrives_after_the_new_one_went_on(deploy, sites, address, line, answer):
    deployment = deploy()
    coordinator = deployment.coordinator()
    where = address(coordinator)
    late = line(where, delay=0.1)
    joined = [deployment.site(name, late.address if name == sites[0] else where) for name in sites]
    joined[0].await_stderr("sum 2")
    late.hold()  # the contribution to sum 2 is on its way, and does not arrive
    time.sleep(0.5)
    old = late.overtake()
    joined[0].await_stderr("sum 4")
    for connection in old:
        connection.arrive()
    all_end_well(coordinator, joined)
    assert estimates(deployment) == answer
    second = [
        message
        for site, message in received(deployment)
        if site == sites[0] and isinstance(message, SumMessage) and message.number == 2
    ]
    assert len(second) == 2
    assert second[0] == second[1]


@pytest.mark.parametrize("moment", ["at first", "in a sum"])
def test_a_coordinator_that_goes_between_handshake_and_first_word(deploy, sites, address, answer, moment, tmp_path):
    """To a site that looks like a certificate that is turned down, which would end it: it must not be taken for one."""
    deployment = deploy()
    keys = deployment.keys("coordinator")
    port = free_port()
    where = f"127.0.0.1:{port}"
    if moment == "in a sum":
        first = deployment.coordinator(listen=where)
        joined = [deployment.site(name, where) for name in sites]
        joined[0].await_stderr("sum 2")
        first.kill()
        first.end()
        greet_and_go(port, keys, times=12)
    else:
        joined = [deployment.site(sites[0], where)]
        greet_and_go(port, keys, times=3)
        joined += [deployment.site(name, where) for name in sites[1:]]
    all_end_well(deployment.coordinator(listen=where), joined)
    assert estimates(deployment) == answer


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def greet_and_go(port: int, keys, *, times: int) -> None:
    """A server with the coordinator's keys that closes each connection after the TLS handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keys / "tls.crt", keys / "tls.key")
    context.set_alpn_protocols(["h2"])
    with socket.create_server(("127.0.0.1", port)) as server:
        for _ in range(times):
            plain, _ = server.accept()
            with plain, contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True):
                pass


def test_lines_that_are_taken_while_the_coordinator_is_down(deploy, sites, line, answer):
    """As a proxy does: the connection is there, and nobody behind it."""
    deployment = deploy()
    where = f"127.0.0.1:{free_port()}"
    lines = [line(where, delay=0.02) for _ in sites]
    joined = [deployment.site(name, proxy.address) for name, proxy in zip(sites, lines, strict=True)]
    joined[0].await_stderr("trying again")
    first = deployment.coordinator(listen=where)
    joined[0].await_stderr("sum 2")
    first.kill()
    first.end()
    time.sleep(3.0)
    all_end_well(deployment.coordinator(listen=where), joined)
    assert estimates(deployment) == answer


def test_a_coordinator_that_stands_still(deploy, sites, address, answer):
    deployment = deploy()
    coordinator = deployment.coordinator()
    joined = [deployment.site(name, address(coordinator)) for name in sites]
    joined[0].await_stderr("sum 1")
    coordinator.interrupt(signal.SIGSTOP)
    time.sleep(5.0)
    coordinator.interrupt(signal.SIGCONT)
    all_end_well(coordinator, joined)
    assert estimates(deployment) == answer
