"""A party is killed in the middle of a sum and started again with the same command: the fit goes on."""

from __future__ import annotations

import json

import pytest

from fedglmm_secure.wire.records import read_journal

ONE_LOSS = {"security__dropouts": 1}
EACH_PROTOCOL = pytest.mark.parametrize(
    "changes", [{}, ONE_LOSS, {"dealt": True}], ids=["masking", "masking with dropouts", "paillier"]
)


def answer(deployment) -> tuple[list[float], float]:
    result = json.loads((deployment.out("coordinator") / "result.json").read_text())
    return [effect["estimate"] for effect in result["fixed_effects"]], result["log_likelihood"]


def start_with_a_slow_line(deployment, sites, line, where):
    """The second site's line is slow, so that there is time for a crash within a sum."""
    slow = line(where, delay=0.25)
    return [deployment.site(name, slow.address if name == sites[1] else where) for name in sites]


def undisturbed(deployment, sites, address):
    (deployment.out("coordinator") / "store.sqlite").unlink()  # its fit is done
    coordinator = deployment.coordinator()
    joined = [deployment.site(name, address(coordinator)) for name in sites]
    assert [coordinator.end(), *(site.end() for site in joined)] == [0] * 5
    return answer(deployment)


@EACH_PROTOCOL
def test_a_site_killed_during_a_sum_goes_on_to_the_same_answer(deploy, sites, address, line, changes):
    deployment = deploy(**changes)
    coordinator = deployment.coordinator()
    where = address(coordinator)
    joined = start_with_a_slow_line(deployment, sites, line, where)
    joined[2].await_stderr("sum 2")
    joined[2].kill()
    joined[2].end()
    assert (deployment.out(sites[2]) / "session.seed").exists()
    again = deployment.site(sites[2], where)
    assert [coordinator.end(), again.end(), *(site.end() for site in (*joined[:2], joined[3]))] == [0] * 5
    assert "going on in the session" in again.stderr
    disturbed = answer(deployment)

    # no sum was answered twice; an opening stands with its commitment, and where it is sent
    path = deployment.out(sites[2]) / "journal.jsonl"
    made = [message for record in read_journal(path.read_bytes(), str(path)) for message in record.made]
    assert len({(message.number, message.phase) for message in made}) == len(set(made))

    assert disturbed == undisturbed(deployment, sites, address)


def test_a_site_whose_journal_is_older_than_the_session_is_refused(deploy, sites, address, line):
    """Its folder was restored from a backup that was made before the last sums."""
    deployment = deploy()
    coordinator = deployment.coordinator("--timeout", 120)
    where = address(coordinator)
    joined = start_with_a_slow_line(deployment, sites, line, where)
    joined[0].await_stderr("sum 3")
    joined[0].kill()
    joined[0].end()
    path = deployment.out(sites[0]) / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))  # the offer and sum 1
    again = deployment.site(sites[0], where, "--timeout", 60)
    assert again.end() == 6
    assert "restored from a backup" in again.error


def test_a_lost_site_is_left_out_where_the_study_says_so(deploy, sites, address, line):
    deployment = deploy(security__dropouts=1, security__on_dropout="exclude")
    coordinator = deployment.coordinator("--patience", 3)
    where = address(coordinator)
    joined = start_with_a_slow_line(deployment, sites, line, where)
    joined[3].await_stderr("sum 1")
    joined[3].kill()
    joined[3].end()
    assert [coordinator.end(), *(site.end() for site in joined[:3])] == [0] * 4
    result = json.loads((deployment.out("coordinator") / "result.json").read_text())
    assert result["n_sites"] == 3
    assert "left out, as the study allows" in result["warnings"][0]
    assert f"left out: {sites[3]}" in coordinator.stderr
    late = deployment.site(sites[3], where, "--timeout", 2)
    assert late.end() == 5


@EACH_PROTOCOL
def test_a_coordinator_killed_during_a_sum_goes_on_from_its_store(deploy, sites, address, line, changes):
    deployment = deploy(**changes)
    first = deployment.coordinator()
    where = address(first)
    joined = start_with_a_slow_line(deployment, sites, line, where)
    joined[0].await_stderr("sum 3")
    first.kill()
    first.end()
    second = deployment.coordinator(listen=where)
    assert [second.end(), *(site.end() for site in joined)] == [0] * 5
    assert "going on after sum" in second.stderr
    disturbed = answer(deployment)
    third = deployment.coordinator("--linger", 1)  # the fit is done: the store has its result
    assert third.end() == 0
    assert "this fit is done" in third.stderr
    assert disturbed == undisturbed(deployment, sites, address)
