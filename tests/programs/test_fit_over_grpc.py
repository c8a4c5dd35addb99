"""The main job as an operator runs it: real processes, gRPC, mutual TLS, masked sums."""

from __future__ import annotations

import base64
import json
import socket

import pytest

from fedglmm_secure.securesum.messages import Contribution
from fedglmm_secure.wire.codec import decode_site
from fedglmm_secure.wire.records import read_journal


@pytest.fixture
def finished(deploy, sites, address):
    """A deployment whose fit is done."""
    deployment = deploy()
    coordinator = deployment.coordinator()
    joined = [deployment.site(name, address(coordinator)) for name in sites]
    assert [coordinator.end(), *(site.end() for site in joined)] == [0, 0, 0, 0, 0], coordinator.stderr
    return deployment, coordinator, joined


def test_a_fit_from_first_hello_to_result(finished, sites):
    deployment, coordinator, joined = finished
    out = deployment.out("coordinator")
    result = json.loads((out / "result.json").read_text())
    lines = [json.loads(line) for line in (out / "transcript.jsonl").read_text().splitlines()]
    received = [(line["site"], base64.b64decode(line["message"])) for line in lines]
    contributions = [m for m in (decode_site(data) for _, data in received) if isinstance(m, Contribution)]

    # lme4 1.1-31, nAGQ = 9
    assert result["log_likelihood"] == pytest.approx(-217.627625, abs=1e-5)
    assert result["converged"]

    # one round trip a sum; every byte is accounted for
    assert len(contributions) == len(sites) * result["security"]["sums"]
    for name in sites:
        own = [data for site, data in received if site == name]
        total = sum(len(data) for data in own[:-1])  # the last says that the result arrived
        assert result["security"]["bytes_sent_by_site"][name] == total

    # the first number of every plain vector is 1: the masked ones never show it
    assert not any(c.vector[:16] == (1 << 44).to_bytes(16, "little") for c in contributions)

    # a site's journal holds exactly what it sent, and its report stays with it
    for name, program in zip(sites, joined, strict=True):
        path = deployment.out(name) / "journal.jsonl"
        journal = [made for record in read_journal(path.read_bytes(), str(path)) for made in record.made]
        assert journal == [c for c in contributions if c.site == name]
        assert not (deployment.out(name) / "session.seed").exists()
        report = json.loads((deployment.out(name) / "report.json").read_text())
        assert f"{name}: {report['rows']} rows used, {len(journal)} sums answered" in program.stdout

    assert all(f"connected: {name}" in coordinator.stderr for name in sites)
    assert "log-likelihood -217.627" in coordinator.stderr


def test_sites_wait_for_a_coordinator_that_starts_later(deploy, sites):
    deployment = deploy()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    joined = [deployment.site(name, address) for name in sites]
    joined[0].await_stderr("trying again")
    coordinator = deployment.coordinator("--quiet", listen=address)
    assert [coordinator.end(), *(site.end() for site in joined)] == [0] * 5
    assert coordinator.stderr == ""


def test_plain_when_the_study_and_every_site_allow_it(deploy, sites, address):
    deployment = deploy(security__protocol="plain", study__rehearsal_of="0" * 64)
    policy = deployment.folder / "policy.toml"
    policy.write_text("allow_plain = true\nallow_rehearsals = true\n")
    coordinator = deployment.coordinator("--quiet")
    joined = [deployment.site(name, address(coordinator), "--policy", policy, "--quiet") for name in sites]
    assert [coordinator.end(), *(site.end() for site in joined)] == [0] * 5
    assert {site.stdout + site.stderr for site in joined} == {""}


def test_plain_sums_show_a_site_so_its_own_counts_must_pass(deploy):
    """Three patients would be plain to see; a rehearsal, whose tables are all of one user, is excepted (above)."""
    deployment = deploy(security__protocol="plain")
    policy = deployment.folder / "policy.toml"
    policy.write_text("allow_plain = true\n")
    site = deployment.site("4_Case", "127.0.0.1:9", "--policy", policy)
    assert site.end() == 3
    assert "6 parameters for 3 own rows" in site.error
