"""The steward's commands as a hospital calls them: check, approve, join and verify-log; no refusal sends a byte."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from fedglmm_secure.errors import RefusalError
from fedglmm_site.audit import verify_log

ME = "1_UM"


@pytest.fixture
def hospital(deploy):
    return deploy()


@pytest.fixture
def policy(hospital):
    def write(text: str):
        (hospital.folder / "policy.toml").write_text(text)
        return hospital.folder / "policy.toml"

    return write


@pytest.fixture
def silence():
    """An address where somebody listens and must hear nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.1)
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.fixture
def check(steward):
    def run(hospital, *options, study=None):
        fixed = ("--data", hospital.table(ME), "--keys", hospital.keys(ME))
        return steward("check", study or hospital.folder / "study.toml", *fixed, *options)

    return run


def nothing_was_kept(hospital):
    """No journal, log or register is made for a study that is refused."""
    return not hospital.out(ME).exists() and not list(hospital.keys(ME).glob("register*"))


class TestCheck:
    def test_shows_the_terms_the_table_and_all_that_would_leave(self, hospital, check):
        shown = check(hospital)
        assert (shown.code, shown.stderr) == (0, "")
        text = " ".join(shown.stdout.split())
        for expected in (
            f"digest +{hospital.study.hexdigest}",
            r"masking: each number of this site is masked",
            r"sites +4: 1_UM \(this site\), 2_IU, 3_UK, 4_Case",
            r"rounds +at most 51 sums \(max_rounds = 50\)",
            r"approved no: 1_UM has not approved ",
            r"outcome +outcome +binary +0_no, 1_yes +0_no: 128, 1_yes: 36 +0",
            r"age +covariate +numeric +18 to 100 +19 to 90 +0",
            r"Not used, and not read further: .*\bpep\b",
            r"164 in the table: 164 are used, 0 are left out\.",
            r"levels of rx +2 +at most maximum_levels = 40 +ok",
            r"describe, in sum 1, about all complete rows",
            r"91 numbers, a message of at most 1504 bytes:",
            r"marginal derivatives, in sums 2 to 51",
            r"29 numbers, a message of at most 512 bytes:",
            r"\.\.\. and 25 more \(--all\)",
            r"There never leave:",
            r"`fedglmm-site join` would be allowed, once this site has approved the study\.",
        ):
            assert re.search(expected, text), expected
        assert nothing_was_kept(hospital)

    def test_leaves_nothing_out_on_a_narrow_terminal(self, hospital, check, monkeypatch):
        monkeypatch.setattr("fedglmm_site.show.WIDTH", 60)
        text = check(hospital).stdout
        assert "…" not in text
        assert hospital.study.hexdigest in re.sub(r"\s+", "", text)

    def test_all_names_every_number(self, hospital, check):
        text = check(hospital, "--all").stdout
        names = " ".join(text.split())
        assert "(--all)" not in text
        for name in (*("sum of squares of age", "rows with gender = 2_male"), "Hessian in risk x gender[T.2_male]"):
            assert name in names

    def test_json_has_the_same_for_programs(self, hospital, check):
        shown = check(hospital, "--json")
        content = json.loads(shown.stdout)
        assert content["format"] == "fedglmm-site-check/1"
        assert content["terms"]["digest"] == hospital.study.hexdigest
        assert [len(question["names"]) for question in content["questions"]] == [91, 29]
        assert content["rows"] == {"in the table": 164, "used": 164, "left out": 0}
        assert content["problems"] == []

    def test_rows_that_are_left_out_are_counted_by_reason(self, hospital, check):
        table = pd.read_csv(hospital.table(ME))
        table.loc[:4, "age"] = None
        table.loc[4:6, "rx"] = None
        table.to_csv(hospital.table(ME), index=False)
        text = check(hospital).stdout
        why = r"157 are used, 7 are left out because a used value is missing \(3 without rx, 5 without age\)"
        assert re.search(why, " ".join(text.split()))

    def test_needs_no_keys_and_no_name(self, hospital, steward):
        shown = steward("check", hospital.folder / "study.toml", "--data", hospital.table(ME))
        assert shown.code == 0
        assert "not looked at: give --keys" in shown.stdout

    def test_says_what_an_unfinished_fit_study_lacks_and_shows_the_rest(self, hospital, draft, steward):
        unfinished_fit = hospital.other_study("draft.toml", draft)
        shown = steward("check", unfinished_fit, "--data", hospital.table(ME), "--site", ME)
        assert shown.code == 2
        assert "have no public_key" in shown.error
        assert "marginal derivatives" in shown.stdout
        assert "has no coordinator certificate" in " ".join(shown.stdout.split())

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ('protocols = ["paillier"]', "the study asks for protocol = 'masking' and this site's policy says no"),
            ("minimum_sites = 5", "4 sites and at least 5 are required"),
            ('forbidden_columns = ["age"]', "the study asks for the column age"),
        ],
    )
    def test_ends_as_join_would(self, hospital, policy, text, sentence, check):
        shown = check(hospital, "--policy", policy(text))
        assert shown.code == 3
        assert sentence in shown.error
        assert "`fedglmm-site join` would be refused:" in shown.stdout
        assert "describe, in sum 1" in shown.stdout

    def test_a_table_that_does_not_fit(self, hospital, check):
        hospital.table(ME).write_text("outcome,rx,age,risk,gender\n1_yes,0_placebo,7,1,1_female\n")
        shown = check(hospital)
        assert shown.code == 2
        assert "age" in shown.error
        assert "outside the declared range [18, 100]" in shown.error
        assert "Not counted: the table could not be read as the study needs it." in shown.stdout

    def test_a_name_outside_the_roster(self, hospital, steward):
        shown = steward("check", hospital.folder / "study.toml", "--data", hospital.table(ME), "--site", "elsewhere")
        assert shown.code == 2
        assert "--site elsewhere: is not in the study's roster" in shown.error

    def test_a_policy_that_is_stricter_shows_in_the_checks(self, hospital, policy, check):
        shown = check(hospital, "--policy", policy("minimum_cell = 50\nminimum_rows = 600"))
        assert shown.code == 0  # the pooled counts decide
        assert re.search(r"rows with outcome = 1_yes +36 at 1_UM +none, or at least .*not yet known", shown.stdout)
        assert "minimum_cell = 50, minimum_rows = 600" in " ".join(shown.stdout.split()).replace(
            "minimum_rows = 600, minimum_cell = 50", "minimum_cell = 50, minimum_rows = 600"
        )


class TestApprove:
    def test_signs_and_says_so(self, hospital, check, steward):
        signed = steward("approve", hospital.folder / "study.toml", "--keys", hospital.keys(ME))
        assert signed.code == 0
        assert f"1_UM approves study {hospital.study.study.id}, digest {hospital.study.hexdigest}" in signed.stdout
        content = tomllib.loads((hospital.folder / "study.1_UM.approval.toml").read_text())
        assert content["digest"] == hospital.study.hexdigest
        assert re.search(r"approved +yes, with these keys", check(hospital).stdout)

    @pytest.mark.parametrize("text", ['families = ["poisson"]', "maximum_sums = 10", "minimum_sites = 9"])
    def test_what_the_policy_refuses_is_not_signed(self, hospital, policy, text, steward):
        study = hospital.folder / "study.toml"
        signed = steward("approve", study, "--keys", hospital.keys(ME), "--policy", policy(text))
        assert signed.code == 3
        assert not list(hospital.folder.glob("*.approval.toml"))

    def test_a_table_that_does_not_fit_is_not_signed_for(self, hospital, steward):
        hospital.table(ME).write_text("outcome\n1_yes\n")
        study, keys = hospital.folder / "study.toml", hospital.keys(ME)
        assert steward("approve", study, "--keys", keys, "--data", hospital.table(ME)).code == 2
        assert not list(hospital.folder.glob("*.approval.toml"))

    def test_a_stranger_cannot_approve(self, hospital, steward):
        study = hospital.folder / "study.toml"
        signed = steward("approve", study, "--keys", hospital.keys("coordinator"))
        assert signed.code == 3
        assert "this site's key is not in the study's roster" in signed.error


class TestJoinRefuses:
    """Each with its sentence and exit code; ``silence`` fails if a connection was so much as opened."""

    def refused(self, hospital, silence, sentence, *options, code=3, approved=True):
        if approved:
            hospital.approve(ME)
        site = hospital.join_here(ME, silence, *options)
        assert site.code == code, site.stderr
        assert sentence in site.error
        assert nothing_was_kept(hospital)

    def test_a_study_that_was_not_approved(self, hospital, silence):
        self.refused(hospital, silence, "1_UM has not approved", approved=False)

    def test_a_study_that_changed_since(self, hospital, silence):
        hospital.approve(ME)
        study = hospital.folder / "study.toml"
        study.write_text(study.read_text().replace("minimum_cell = 3", "minimum_cell = 2"))
        words = "(disclosure.minimum_cell was 3 and is 2); look at the study with `fedglmm-site check`"
        self.refused(hospital, silence, words, approved=False)

    def test_a_study_that_changed_in_comments_only_is_the_same(self, hospital, silence, policy):
        hospital.approve(ME)
        study = hospital.folder / "study.toml"
        study.write_text("# reviewed\n" + study.read_text())
        refusal = "asks for up to 51 sums"  # by the next check
        self.refused(hospital, silence, refusal, "--policy", policy("maximum_sums = 9"), approved=False)

    def test_another_sites_approval(self, hospital, silence):
        other = hospital.approve("2_IU")
        sentence = "is an approval by another site or another key than 1_UM's own"
        self.refused(hospital, silence, sentence, "--approval", other, approved=False)

    def test_an_edited_approval(self, hospital, silence):
        path = hospital.approve(ME)
        path.write_text(path.read_text().replace('date = "20', 'date = "19'))
        self.refused(hospital, silence, "its signature is not by 1_UM's key, or it was edited", approved=False)

    def test_what_is_no_approval(self, hospital, silence):
        (hospital.folder / "a.toml").write_text("yes = true")
        self.refused(
            hospital,
            silence,
            "is not a study's approval",
            "--approval",
            hospital.folder / "a.toml",
            code=2,
            approved=False,
        )

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("minimum_sites = 5", "4 sites and at least 5 are required"),
            ('protocols = ["paillier"]', "(protocols = ['paillier'])"),
            ('families = ["poisson", "gaussian"]', "(families = ['poisson', 'gaussian'])"),
            ('forbidden_columns = ["gender"]', "the study asks for the column gender"),
            ("maximum_sums = 50", "(maximum_sums = 50)"),
        ],
    )
    def test_a_study_outside_the_policy(self, hospital, silence, policy, text, sentence):
        self.refused(hospital, silence, sentence, "--policy", policy(text))

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("minimum_rows = 165", "there are 164 own rows, fewer than minimum_rows = 165"),
            ("minimum_cell = 37", "outcome = 1_yes occurs in fewer than minimum_cell = 37 rows of the own data"),
            ("maximum_parameters_per_row = 0.03", "more than maximum_parameters_per_row = 0.03 allows"),
        ],
    )
    def test_a_sites_own_counts_where_it_would_be_seen(self, deploy, silence, text, sentence):
        hospital = deploy(security__protocol="plain")
        policy = hospital.folder / "policy.toml"
        policy.write_text(f"allow_plain = true\n{text}\n")
        self.refused(hospital, silence, sentence, "--policy", policy)

    def test_a_real_site_refuses_a_study_that_says_it_is_a_rehearsal(self, deploy, silence, steward):
        """Its author could otherwise switch off what a site checks of its own counts; `check` says what it is."""
        hospital = deploy(security__protocol="plain", study__rehearsal_of="0" * 64)
        policy = hospital.folder / "policy.toml"
        policy.write_text("allow_plain = true\nminimum_rows = 165\n")
        self.refused(
            hospital, silence, "the study says that it is a rehearsal (study.rehearsal_of)", "--policy", policy
        )
        shown = steward(
            *(
                "check",
                hospital.folder / "study.toml",
                "--data",
                hospital.table(ME),
                "--keys",
                hospital.keys(ME),
                "--policy",
                policy,
            )
        )
        assert shown.code == 3
        assert "rehearsal" in shown.stdout
        assert "NOT for real tables" in " ".join(shown.stdout.split())

    def test_a_table_that_does_not_fit(self, hospital, silence):
        hospital.table(ME).write_text("outcome,rx\n1_yes,?\n")
        self.refused(hospital, silence, "column age, which the study uses, is missing", code=2)


class TestAfterAFit:
    def test_all_logs_verify(self, finished_fit, sites, steward):
        for name in sites:
            file = finished_fit.out(name) / "audit.log"
            checked = steward("verify-log", file, "--keys", finished_fit.keys(name))
            assert (checked.code, checked.stderr) == (0, "")
            assert re.search(
                r"audit\.log: whole; \d+ lines from 20\S+Z to 20\S+Z, \d+ messages sent, \d+ ", checked.stdout
            )
            assert file.stat().st_mode & 0o777 == 0o600

    def test_the_log_holds_every_message_that_the_coordinator_received(self, finished_fit, sites):
        received = [
            json.loads(line) for line in (finished_fit.out("coordinator") / "transcript.jsonl").read_text().splitlines()
        ]
        for name in sites:
            file = finished_fit.out(name) / "audit.log"
            lines, _ = verify_log(file, file.read_bytes())
            sent = [line.fields["sha256"] for line in lines if line.direction == "sent"]
            came = [hashlib.sha256(base64.b64decode(m["message"])).hexdigest() for m in received if m["site"] == name]
            assert list(dict.fromkeys(came)) == list(dict.fromkeys(sent))
            assert all(line.fields["study"] == finished_fit.study.hexdigest for line in lines)
            answers = [line.kind for line in lines if line.direction == "received" and line.kind != "wait"]
            sums = json.loads((finished_fit.out(name) / "report.json").read_text())["sums_answered"]
            assert answers == ["asked:describe", *["asked:marginal-derivatives"] * (sums - 1), "finished", "finished"]
            assert [line.kind for line in lines if line.direction == "note"] == ["begun", "joined", "left"]

    def test_nothing_left_but_what_check_had_announced(self, finished_fit, check):
        asked = json.loads(check(finished_fit, "--json").stdout)["questions"]
        announced = {1: asked[0]["bytes"], **dict.fromkeys(range(2, 52), asked[1]["bytes"])}
        file = finished_fit.out(ME) / "audit.log"
        sent = [line for line in verify_log(file, file.read_bytes())[0] if line.direction == "sent"]
        assert {line.kind for line in sent} <= {"hello", "ready", "contribution"}
        for line in sent:
            if line.kind == "contribution":
                assert int(line.fields["bytes"]) <= announced.pop(int(line.fields["sum"])), "once a sum, and no longer"
            else:
                assert int(line.fields["bytes"]) < 200  # names, digests, random values, a signature

    def test_every_mutation_of_a_real_log_is_found(self, finished_fit):
        file = finished_fit.out(ME) / "audit.log"
        content = file.read_bytes()
        lines = content.splitlines(keepends=True)
        mutations = [b"".join(lines[:i] + lines[i + 1 :]) for i in range(len(lines))]
        mutations += [b"".join([*lines[:i], lines[i + 1], lines[i], *lines[i + 2 :]]) for i in range(len(lines) - 1)]
        mutations += [b"".join([*lines[:i], lines[i], *lines[i:]]) for i in range(len(lines))]
        mutations += [content[:i] for i in range(0, len(content), 13)]
        mutations += [content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :] for i in range(0, len(content), 13)]
        for mutation in mutations:
            with pytest.raises(RefusalError, match=r"lines? \d+ "):
                verify_log(file, mutation)

    def test_verify_log_says_where_and_ends_with_3(self, finished_fit, tmp_path, steward):
        out = finished_fit.out(ME)
        (tmp_path / "audit.head").write_bytes((out / "audit.head").read_bytes())
        lines = (out / "audit.log").read_bytes().splitlines(keepends=True)
        for content, words in (
            (lines[:3] + lines[4:], "line 4 is numbered 5: lines were deleted, inserted or moved there"),
            ([*lines[:3], lines[3].replace(b"bytes=", b"bytes=1"), *lines[4:]], "line 4 was changed"),
            (lines[:-2], f"lines {len(lines) - 1} to {len(lines)} are missing at its end"),
        ):
            (tmp_path / "audit.log").write_bytes(b"".join(content))
            checked = steward("verify-log", tmp_path / "audit.log")
            assert checked.code == 3
            assert words in checked.error
        assert steward("verify-log", tmp_path / "none.log").code == 2
        other = steward("verify-log", out / "audit.log", "--keys", finished_fit.keys("2_IU"))
        assert other.code == 3
        assert "which is not the one in" in other.error

    def test_join_refuses_a_log_that_was_changed(self, finished_fit, silence):
        file = finished_fit.out("2_IU") / "audit.log"
        content = file.read_bytes()
        try:
            file.write_bytes(content.replace(b"bytes=", b"bytes=9", 1))
            site = finished_fit.join_here("2_IU", silence)
            assert site.code == 3
            assert "audit.log: line 3 was changed; keep the folder" in site.error
            file.unlink()
            assert finished_fit.join_here("2_IU", silence).code == 3
        finally:
            file.write_bytes(content)

    def test_join_refuses_a_journal_whose_log_was_removed(self, finished_fit, silence, tmp_path):
        (tmp_path / "journal.jsonl").write_bytes((finished_fit.out(ME) / "journal.jsonl").read_bytes())
        site = finished_fit.join_here(ME, silence, "--out", tmp_path)
        assert site.code == 3
        assert "has a journal but no audit log" in site.error

    def test_another_study_over_all_but_one_of_the_rows_is_refused(self, finished_fit, silence, check):
        whole = finished_fit.table(ME).read_text()
        study = finished_fit.other_study("again.toml", finished_fit.study.model_copy(update={"study": {"id": "again"}}))
        try:
            finished_fit.table(ME).write_text("".join(whole.splitlines(keepends=True)[:-1]))
            finished_fit.approve(ME, study)
            site = finished_fit.join_here(ME, silence, study=study)
            assert site.code == 3
            assert "used 163 of the rows that this study would use, and 1 row differs" in site.error
            assert 'such as two models to compare, set repeated_studies = "allow" in this site' in site.error
            shown = check(finished_fit, study=study)
            assert shown.code == 3
            assert "and 1 row differs" in shown.error
        finally:
            finished_fit.table(ME).write_text(whole)

    def test_another_roster_over_much_the_same_rows_is_refused(self, finished_fit, silence, tmp_path):
        """Twelve patients less, and a site less: the difference of the sums would tell of that site."""
        fewer = finished_fit.study.model_copy(update={"sites": finished_fit.study.sites[:3]})
        study = finished_fit.other_study("fewer.toml", fewer)
        (tmp_path / "t.csv").write_text("".join(finished_fit.table(ME).read_text().splitlines(keepends=True)[:-12]))
        finished_fit.approve(ME, study)
        site = finished_fit.join_here(ME, silence, "--data", tmp_path / "t.csv", study=study)
        assert site.code == 3
        assert "used 152 of the rows that this study would use, and the rosters differ by 1 site" in site.error

    def test_a_run_too_many_over_the_same_table_is_refused(self, finished_fit, silence, tmp_path):
        policy = tmp_path / "policy.toml"
        policy.write_text("maximum_studies = 1\n")
        site = finished_fit.join_here(ME, silence, "--policy", policy)
        assert site.code == 3
        assert "has taken part in 1 run of studies" in site.error
        assert "(maximum_studies = 1)" in site.error


def test_the_guides_three_steps_as_they_are_written(hospital, steward, silence, monkeypatch):
    """The commands of site/README.md in a folder like the guide's; join is stopped before it connects."""
    home = hospital.folder
    (home / "policy.toml").write_text("minimum_cell = 3\n")
    (home / "patients.csv").write_bytes(hospital.table(ME).read_bytes())
    own = home / "keys" / ME
    guide = (Path(__file__).parents[2] / "site" / "README.md").read_text(encoding="utf-8")
    commands = [line.split()[1:] for line in guide.splitlines() if line.startswith("    fedglmm-site ")]
    assert [command[0] for command in commands] == ["check", "approve", "join", "verify-log"]
    monkeypatch.chdir(home)
    swap = {"keys": str(own), "fit.example.org:7443": silence}
    check, approve, join, _ = [[swap.get(word, word) for word in command] for command in commands]
    assert steward(*join).code == 3
    assert steward(*check).code == 0
    assert steward(*approve).code == 0
    (home / "policy.toml").write_text("maximum_sums = 1\n")
    assert "(maximum_sums = 1)" in steward(*join).error


@pytest.mark.parametrize("command", [(), ("check",), ("approve",), ("join",), ("verify-log",)])
def test_help_has_an_example_for_each_command(deploy, command, steward):
    shown = steward(*command or ("--help",), *("--help",) * bool(command))
    assert shown.code == 0
    if command:
        assert f"Example:\n    fedglmm-site {command[0]} " in shown.stdout
    else:
        assert all(name in shown.stdout for name in ("check", "approve", "join", "verify-log"))
