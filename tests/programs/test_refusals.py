"""What goes wrong in a deployment, each with its sentence and its exit code."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import resource
import shutil
import signal
import socket

import pytest

from fedglmm_coordinator.service import Service
from fedglmm_coordinator.store import Store
from fedglmm_secure import shell
from fedglmm_secure.securesum.messages import Contribution
from fedglmm_secure.wire import codec, identity
from fedglmm_site.audit import verify_log


def ends(programs) -> list[int]:
    return [program.end() for program in programs]


def test_a_coordinator_with_another_certificate(deploy, address):
    deployment = deploy()
    impostor = deployment.study.replaced(coordinator_certificate=deployment.identities["4_Case"].certificate)
    fooled = deployment.other_study("fooled.toml", impostor)
    coordinator = deployment.coordinator()
    site = deployment.site("1_UM", address(coordinator), study=fooled)
    assert site.end() == 3
    assert "the coordinator has another certificate than the one in the study" in site.error


def test_a_site_whose_certificate_the_coordinator_does_not_know(deploy, address):
    deployment = deploy()
    other = identity.generate()
    mine = deployment.identities["1_UM"]
    (deployment.keys("1_UM") / "tls.key").write_bytes(other.tls_key_pem)
    (deployment.keys("1_UM") / "tls.crt").write_bytes(other.certificate_pem)
    study = deployment.study.replaced(identities={"1_UM": (mine.public_key, other.certificate)})
    coordinator = deployment.coordinator()
    site = deployment.site("1_UM", address(coordinator), study=deployment.other_study("own.toml", study))
    assert site.end() == 3
    assert "the coordinator does not accept this site's certificate" in site.error


def test_a_key_outside_the_roster(deploy):
    deployment = deploy()
    site = deployment.site("1_UM", "127.0.0.1:9", keys="coordinator")
    assert site.end() == 3
    assert "this site's key is not in the study's roster" in site.error


def test_another_version_of_the_study(deploy, sites, address):
    deployment = deploy()
    changed = deployment.study.model_dump(exclude_none=True)
    changed["disclosure"]["minimum_cell"] = 2
    other = deployment.other_study("other.toml", type(deployment.study).from_dict(changed, "other"))
    coordinator = deployment.coordinator("--timeout", 60)
    same = [deployment.site(name, address(coordinator)) for name in sites[1:]]
    site = deployment.site("1_UM", address(coordinator), study=other)
    assert site.end() == 3
    assert "site '1_UM' has another version of the study" in site.error
    assert "turned away: 1_UM" in coordinator.stderr
    assert coordinator.end() == 5
    assert "no word from 1_UM for 60 seconds" in coordinator.error
    assert ends(same) == [5, 5, 5]
    assert all("no word from 1_UM" in program.error for program in same)


def test_certificate_of_another_site(deploy, address):
    """The TLS keys of one site with the signing key of another: both are in the roster, but not together."""
    deployment = deploy()
    for name in ("tls.key", "tls.crt"):
        (deployment.keys("1_UM") / name).write_bytes((deployment.keys("2_IU") / name).read_bytes())
    coordinator = deployment.coordinator()
    site = deployment.site("1_UM", address(coordinator))
    assert site.end() == 3
    assert "the certificate in --keys is not the one that the study's roster has for 1_UM" in site.error


def test_a_coordinator_without_the_studys_certificate(deploy):
    deployment = deploy()
    other = deployment.study.replaced(coordinator_certificate=deployment.identities["1_UM"].certificate)
    coordinator = deployment.coordinator(study=deployment.other_study("other.toml", other))
    assert coordinator.end() == 3
    assert "not the coordinator's in the study" in coordinator.error


def test_disclosure_limit_is_enforced_by_the_sites(deploy, sites, address):
    deployment = deploy(disclosure__minimum_cell=200)
    coordinator = deployment.coordinator()
    joined = [deployment.site(name, address(coordinator)) for name in sites]
    assert [coordinator.end(), *ends(joined)] == [3] * 5
    assert "refused" in coordinator.error
    assert "minimum_cell = 200" in coordinator.error
    transcript = (deployment.out("coordinator") / "transcript.jsonl").read_text().splitlines()
    messages = [codec.decode_site(base64.b64decode(json.loads(line)["message"])) for line in transcript]
    assert {m.number for m in messages if isinstance(m, Contribution)} == {1}, "only the pooled counts"
    assert not (deployment.out("coordinator") / "result.json").exists()


def test_a_fit_without_an_answer(deploy, sites, address):
    deployment = deploy(model__max_rounds=1)
    coordinator = deployment.coordinator()
    joined = [deployment.site(name, address(coordinator)) for name in sites]
    assert [coordinator.end(), *ends(joined)] == [4] * 5
    assert len({program.error.partition(": ")[2] for program in (coordinator, *joined)}) == 1


def test_plain_without_the_sites_consent(deploy):
    deployment = deploy(security__protocol="plain")
    site = deployment.site("1_UM", "127.0.0.1:9")
    assert site.end() == 3
    assert "allow_plain = true" in site.error


def test_the_sites_own_cohort(deploy):
    deployment = deploy()
    policy = deployment.folder / "policy.toml"
    policy.write_text("minimum_sites = 5\n")
    site = deployment.site("1_UM", "127.0.0.1:9", "--policy", policy)
    assert site.end() == 3
    assert "4 sites and at least 5 are required" in site.error


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("minimum_site = 3", "unknown key 'minimum_site'"),
        ("allow_plain = 1", "true or false"),
        ("=", "correct that line"),
    ],
)
def test_a_wrong_policy_file(deploy, content, sentence):
    deployment = deploy()
    policy = deployment.folder / "policy.toml"
    policy.write_text(content)
    site = deployment.site("1_UM", "127.0.0.1:9", "--policy", policy)
    assert site.end() == 2
    assert sentence in site.error


def test_a_table_that_does_not_fit_is_told_to_nobody(deploy):
    deployment = deploy()
    deployment.table("1_UM").write_text("outcome,rx\n1_yes,?\n")
    site = deployment.site("1_UM", "127.0.0.1:9")
    assert site.end() == 2


@pytest.mark.parametrize("name", ["signing.key", "encryption.key", "tls.key"])
def test_private_keys_that_others_can_read(deploy, name):
    deployment = deploy()
    for party in ("1_UM", "coordinator"):
        (deployment.keys(party) / name).chmod(0o640)
    for program in (deployment.site("1_UM", "127.0.0.1:9"), deployment.coordinator()):
        assert program.end() == 2
        assert f"chmod 600 {deployment.keys('')}" in program.error.replace("coordinator/", "").replace("1_UM/", "")


def test_nobody_at_the_address(deploy):
    deployment = deploy()
    site = deployment.site("1_UM", "127.0.0.1:9", "--timeout", 1)
    assert site.end() == 5
    assert "no answer from the coordinator at 127.0.0.1:9 for 1 seconds" in site.error


def test_an_address_that_is_none(deploy):
    deployment = deploy()
    site, coordinator = deployment.site("1_UM", "nowhere"), deployment.coordinator(listen="::1:7443")
    assert ends([site, coordinator]) == [2, 2]
    assert "is not HOST:PORT" in site.error
    assert "--listen ::1:7443 is not HOST:PORT" in coordinator.error


def test_a_port_that_is_taken(deploy):
    deployment = deploy()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        coordinator = deployment.coordinator(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        assert coordinator.end() == 5
    assert "choose a free port" in coordinator.error


def test_absent_sites_are_named(deploy, sites, address):
    deployment = deploy()
    coordinator = deployment.coordinator("--timeout", 20)
    site = deployment.site("2_IU", address(coordinator))
    assert [coordinator.end(), site.end()] == [5, 5]
    assert "no word from 1_UM, 3_UK, 4_Case for 20 seconds" in coordinator.error
    assert "no word from 1_UM, 3_UK, 4_Case" in site.error


def fill_disk(program, size):
    """No file of the program grows beyond ``size`` bytes from now on."""
    resource.prlimit(program.pid, resource.RLIMIT_FSIZE, (size, size))


def test_a_coordinator_with_a_full_disk_comes_back(deploy, sites, address):
    """Neither the fit nor a site ends: all go on when there is room."""
    deployment = deploy()
    coordinator = deployment.coordinator()
    where = address(coordinator)
    site = deployment.site("1_UM", where)
    coordinator.await_stderr("connected: 1_UM")
    fill_disk(coordinator, 1000)  # of its transcript and log: each holds a hello or two
    joined = [deployment.site(name, where) for name in sites[1:]]
    assert coordinator.end() == 2
    assert re.search(
        r"(log|transcript)\.jsonl: File too large; make room, then run the same command", coordinator.error
    )
    assert deployment.coordinator(listen=where).end() == 0
    assert [site.end(), *ends(joined)] == [0] * 4


def test_a_result_that_finds_no_room_is_not_in_the_way_of_the_next_start(finished_fit, tmp_path, full_disk):
    own = shell.read_identity(finished_fit.keys("coordinator"))
    store = shutil.copy(finished_fit.out("coordinator") / "store.sqlite", tmp_path)

    def serve() -> None:
        shell.refuse_other_result(tmp_path, finished_fit.study)
        with Store(store, finished_fit.study) as held:
            service = Service(finished_fit.study, own, held, tmp_path, lambda line: None)
            asyncio.run(service.run("127.0.0.1:0", 1.0, 1.0, 0.0))

    with full_disk(2000), pytest.raises(OSError, match=r"result\.json"):  # the log fits, the result does not
        serve()
    serve()
    assert json.loads((tmp_path / "result.json").read_text())["study"]["digest"] == finished_fit.study.hexdigest


def test_a_site_with_a_full_disk_comes_back(deploy, sites, address):
    """It says nothing that would end the fit for the others, and its audit log stays whole."""
    deployment = deploy()
    coordinator = deployment.coordinator()
    where = address(coordinator)
    site = deployment.site("1_UM", where)
    coordinator.await_stderr("connected: 1_UM")
    fill_disk(site, 2 * 4096)  # the size of the head of its log
    joined = [deployment.site(name, where) for name in sites[1:]]
    assert site.end() == 2
    assert re.search(r"(audit\.log|journal\.jsonl): File too large; make room, then run the same", site.error)
    joined.append(deployment.site("1_UM", where))
    assert [coordinator.end(), *ends(joined)] == [0] * 5
    file = deployment.out("1_UM") / "audit.log"
    kinds = [line.kind for line in verify_log(file, file.read_bytes())[0]]
    assert (kinds.count("joined"), kinds[-2:]) == (2, ["finished", "left"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_coordinator_that_is_interrupted_comes_back(deploy, sites, address, number):
    deployment = deploy()
    coordinator = deployment.coordinator()
    where = address(coordinator)
    site = deployment.site("1_UM", where)
    coordinator.await_stderr("connected: 1_UM")
    coordinator.interrupt(number)
    assert coordinator.end() == 130
    assert coordinator.error == "stopped; the same command goes on where it was"
    again = deployment.coordinator(listen=where)
    joined = [deployment.site(name, where) for name in sites[1:]]
    assert [again.end(), site.end(), *ends(joined)] == [0] * 5
    finished = deployment.coordinator(listen=where)  # which would give the result again, for a minute
    finished.first_line()
    finished.interrupt(number)
    assert finished.end() == 0
    assert "no word that the end arrived from: 1_UM" in finished.error
    assert "this fit is done" in finished.stderr
    assert "another fit needs another --store" in finished.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_site_that_is_interrupted_comes_back(deploy, sites, address, number):
    deployment = deploy()
    coordinator = deployment.coordinator()
    where = address(coordinator)
    site = deployment.site("1_UM", where)
    coordinator.await_stderr("connected: 1_UM")
    site.interrupt(number)
    assert site.end() == 130
    assert "Traceback" not in site.stderr
    joined = [deployment.site(name, where) for name in sites]
    assert [coordinator.end(), *ends(joined)] == [0] * 5
