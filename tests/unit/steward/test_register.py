"""The register of studies: results that could be subtracted are refused, and rows are recognised by hashes alone."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure.errors import InputError, RefusalError
from fedglmm_secure.model.groups import blocks
from fedglmm_secure.model.units import Units
from fedglmm_site.admission import SiteTable
from fedglmm_site.cohort import compare, complete_rows, row_hashes
from fedglmm_site.policy import Policy
from fedglmm_site.register import KEY, REGISTER, Candidate, Register

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEFAULT = Policy()


@pytest.fixture
def register(tmp_path):
    return Register(tmp_path)


def candidate(study, frame):
    return Candidate.of(study, frame.to_csv(index=False).encode(), frame)


def run(register, study, frame, policy=DEFAULT):
    with register.run(candidate(study, frame), policy, NOW):
        pass


@pytest.fixture
def other(study, changed):
    """The same study but for its digest."""
    return changed(study, study__title="another")


def test_no_table_in_a_repr(study, table, tmp_path):
    path = tmp_path / "table.csv"
    table.to_csv(path, index=False)
    read = SiteTable.read(path, study, "1_UM")
    for holder in (read, read.candidate(study), next(blocks(read.design, Units.of_table(study.layout, (0, 1))))):
        assert len(repr(holder).replace(repr(study), "")) < 120


def test_nothing_is_made_before_the_first_run(register, tmp_path, study, table):
    assert register.check(candidate(study, table), DEFAULT) == "no earlier study"
    assert list(tmp_path.iterdir()) == []


def test_the_same_study_over_the_same_rows_may_be_run_again(register, study, table):
    run(register, study, table)
    run(register, study, table)
    shuffled = table.sample(frac=1.0, random_state=1).assign(unused="x")
    assert register.check(candidate(study, shuffled), DEFAULT) == "2 earlier runs of studies, 2 over this table"


def test_files_are_the_owners_alone_and_hold_no_value_of_the_table(register, tmp_path, study, table):
    run(register, study, table)
    text = (tmp_path / REGISTER).read_text()
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {REGISTER: 0o600, KEY: 0o600}
    assert "indomethacin" not in text.replace(study.study.id, "")
    assert [json.loads(line)["event"] for line in text.splitlines()] == ["start", "end"]


def test_two_first_runs_at_once_have_one_key(tmp_path, study, other, table, monkeypatch):
    """Rows hashed with a key that was replaced are never known again, and the second study would be let in."""
    drawing, others, drawn = threading.Event(), threading.Event(), []

    def slow(size):
        drawn.append(bytes([len(drawn)]) * size)
        drawing.set()
        others.wait(1.0)  # time in which another program must not draw a key too
        return drawn[-1]

    monkeypatch.setattr("fedglmm_site.register.secrets.token_bytes", slow)

    def first():
        run(Register(tmp_path), study, table)

    def second():
        drawing.wait()
        try:
            with pytest.raises(RefusalError, match="1 row differs"):
                run(Register(tmp_path), other, table.iloc[1:])
        finally:
            others.set()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(first), pool.submit(second)]:
            future.result()
    assert (tmp_path / KEY).read_bytes() == drawn[0]
    assert len(drawn) == 1


def test_a_run_that_was_killed_before_it_had_a_key_is_in_nobodys_way(register, tmp_path, study, table):
    (tmp_path / REGISTER).touch()
    assert register.check(candidate(study, table), DEFAULT) == "no earlier study"
    run(register, study, table)
    assert register.check(candidate(study, table), DEFAULT) == "1 earlier run of studies, 1 over this table"


def test_hashes_depend_on_the_secret(table):
    columns = ("age", "rx")
    one, two = row_hashes(table, columns, b"a" * 32), row_hashes(table, columns, b"b" * 32)
    assert compare(one, two).shared == 0


@pytest.mark.parametrize("left_out", [0, 1, 9])
def test_another_study_over_nearly_the_same_rows_is_refused(register, study, other, table, left_out):
    run(register, study, table)
    words = f"used {164 - left_out} of the rows that this study would use, and {left_out} rows? differs?: subtracting"
    with pytest.raises(RefusalError, match=words) as error:
        run(register, other, table.iloc[left_out:])
    assert f"study {study.study.id} (digest {study.hexdigest[:16]}, 2026-03-01)" in str(error.value)
    assert 'set repeated_studies = "allow" in this site\'s policy' in str(error.value)


def test_one_study_is_joined_once_at_a_time(register, study, other):
    """In another folder too; another study with the same keys may be joined meanwhile."""
    words = "another fedglmm-site joins this study with the keys in "
    with register.alone(study), register.alone(other), pytest.raises(InputError, match=words), register.alone(study):
        pass
    with register.alone(study):
        pass


def test_the_same_study_over_a_table_with_one_patient_less_is_refused(register, study, table):
    run(register, study, table)
    with pytest.raises(RefusalError, match=r"used 163 of the rows .* and 1 row differ"):
        run(register, study, table.iloc[1:])
    with pytest.raises(RefusalError, match="and 1 row differ"):
        run(register, study, pd.concat([table, table.iloc[:1].assign(age="91")]))


def test_one_value_that_was_corrected_is_one_row_out_and_one_in(register, study, table):
    run(register, study, table)
    edited = table.copy()
    edited.loc[3, "age"] = "33.5"
    with pytest.raises(RefusalError, match=r"used 163 of the rows .* and 2 rows differ"):
        run(register, study, edited)


def test_a_tenth_of_the_rows_is_enough_of_a_difference(register, study, other, table):
    run(register, study, table)
    run(register, other, table.iloc[17:])


def test_the_very_file_is_refused_even_if_another_study_uses_fewer_of_its_rows(register, study, changed, table):
    gaps = table.copy()
    gaps.loc[gaps.index[:60], "sod"] = None
    run(register, study, gaps)
    wider = changed(
        study,
        model__formula="outcome ~ rx + age + sod + (1 | site)",
        variables__sod={"type": "categorical", "levels": ["0_no", "1_yes"]},
    )
    with pytest.raises(RefusalError, match="used 104 of the rows that this study would use, and 60 rows differ"):
        run(register, wider, gaps)
    run(register, wider, gaps.drop(columns="pep"))  # another file, of which another third of the rows is left out


def test_rows_are_recognised_by_the_columns_of_the_earlier_study(register, study, changed, table):
    run(register, study, table)
    narrower = changed(study, model__formula="outcome ~ rx + (1 | site)")
    with pytest.raises(RefusalError, match="used 163 of the rows"):
        run(register, narrower, table.iloc[1:])


def test_other_patients_are_no_matter(register, study, other, table):
    run(register, study, table)
    years = pd.to_numeric(table["age"])
    run(register, other, table.assign(age=(118 - years).astype(str), risk="7.25"))
    assert "1 over this table" in register.check(candidate(study, table), DEFAULT)


@pytest.mark.parametrize(("without", "refused"), [(1, True), (2, True)])
def test_a_roster_of_nearly_the_same_sites_is_refused(register, study, table, changed, without, refused):
    small = changed(study, security__minimum_sites=3)
    fewer = small.model_copy(
        update={"sites": [site.model_dump() for site in small.sites[: 4 - without]], "security": {"minimum_sites": 3}}
    )
    run(register, small, table)
    words = f"and the rosters differ by {without} sites?: subtracting"
    with pytest.raises(RefusalError, match=words):
        run(register, fewer, table.iloc[17:])


def test_a_site_that_has_another_name_or_another_key_is_the_same(register, study, table, identities):
    run(register, study, table)
    data = study.model_dump(exclude_none=True)
    data["sites"][1]["name"] = "2_Renamed"
    data["sites"][2]["public_key"] = identities["coordinator"].public_key
    renamed = type(study).from_dict(data, "renamed")
    run(register, renamed, table.iloc[17:])


def test_quite_another_roster_is_no_matter(register, study, table, identities):
    run(register, study, table)
    data = study.model_dump(exclude_none=True)
    data["sites"] = [data["sites"][0], *({"name": f"new{i}"} for i in range(3))]
    run(register, type(study).from_dict(data, "others"), table.iloc[17:])


def test_the_policy_may_allow_repeated_studies(register, study, other, table):
    allowing = Policy(repeated_studies="allow")
    run(register, study, table)
    run(register, other, table.iloc[1:], allowing)
    with pytest.raises(RefusalError):
        run(register, other, table.iloc[2:])


class TestNumberOfRuns:
    POLICY = Policy(maximum_studies=2, repeated_studies="allow")

    def test_runs_over_one_table_are_counted_whatever_the_study(self, register, study, other, table):
        run(register, study, table, self.POLICY)
        run(register, other, table.iloc[1:], self.POLICY)
        with pytest.raises(RefusalError, match=r"has taken part in 2 runs of studies, .* \(maximum_studies = 2\)"):
            run(register, study, table, self.POLICY)

    def test_other_tables_are_counted_apart(self, register, study, table):
        run(register, study, table, self.POLICY)
        run(register, study, table.assign(risk="9.75", age="44"), self.POLICY)
        run(register, study, table, self.POLICY)

    def test_a_program_that_was_killed_and_started_again_is_one_run(self, register, study, table):
        run(register, study, table, self.POLICY)
        killed = [register.run(candidate(study, table), self.POLICY, NOW) for _ in range(3)]
        for each in killed:
            each.__enter__()  # and never left, which is what a kill leaves
        run(register, study, table, self.POLICY)
        with pytest.raises(RefusalError, match="maximum_studies = 2"):
            run(register, study, table, self.POLICY)

    def test_a_run_that_failed_counts(self, register, study, table):
        for _ in range(2):
            with pytest.raises(ZeroDivisionError), register.run(candidate(study, table), self.POLICY, NOW):
                raise ZeroDivisionError
        with pytest.raises(RefusalError, match="maximum_studies = 2"):
            register.check(candidate(study, table), self.POLICY)


class TestFiles:
    def test_a_line_that_a_crash_cut_off_never_started(self, register, tmp_path, study, table):
        run(register, study, table)
        path = tmp_path / REGISTER
        path.write_bytes(path.read_bytes() + b'{"event": "start", "ti')
        run(register, study, table)
        assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["start", "end"] * 2

    @pytest.mark.parametrize(
        "line",
        [*("nonsense", "{}", '{"event": "end", "digest": "00"}', "[]", '{"event": "start"}'), "[" * 100_000],
        ids=lambda line: line[:12],
    )
    def test_damage_is_refused(self, register, tmp_path, study, table, line):
        run(register, study, table)
        with (tmp_path / REGISTER).open("a") as file:
            file.write(line + "\n")
        with pytest.raises(InputError, match=r"register\.jsonl: is damaged"):
            run(register, study, table)

    def test_without_its_secret_nothing_can_be_recognised(self, register, tmp_path, study, table):
        run(register, study, table)
        (tmp_path / KEY).chmod(0o640)
        with pytest.raises(InputError, match="chmod 600"):
            run(register, study, table)
        (tmp_path / KEY).unlink()
        with pytest.raises(InputError, match=r"register\.key: cannot be read .*; restore it"):
            run(register, study, table)


class TestRows:
    def test_values_are_the_same_whichever_file_they_came_in(self):
        text = pd.DataFrame({"a": ["1", " 2.50", "x"], "b": ["yes", "no", None]}, dtype="str")
        typed = pd.DataFrame({"a": [1.0, 2.5, "x"], "b": ["yes", "no", np.nan]})
        key = b"k" * 32
        assert compare(row_hashes(text, ["a", "b"], key), row_hashes(typed, ["a", "b"], key)).only_one == 0

    def test_a_value_counts_in_its_own_column_only(self):
        frame = pd.DataFrame({"a": ["1", "2"], "b": ["2", "1"]})
        swapped = frame.rename(columns={"a": "b", "b": "a"})
        key = b"k" * 32
        assert compare(row_hashes(frame, ["a", "b"], key), row_hashes(swapped, ["a", "b"], key)).only_one == 0
        assert compare(row_hashes(frame, ["a"], key), row_hashes(frame, ["b"], key)).shared == 0

    def test_equal_rows_are_told_apart_by_their_number(self):
        rng = np.random.default_rng(1)
        for _ in range(50):
            one, other = (rng.integers(0, 4, rng.integers(0, 9)).astype(np.uint64) for _ in range(2))
            shared = sum(min(list(one).count(value), list(other).count(value)) for value in range(4))
            overlap = compare(one, other)
            assert (overlap.shared, overlap.only_one) == (shared, one.size + other.size - 2 * shared)

    def test_incomplete_rows_are_not_used(self):
        frame = pd.DataFrame({"a": ["1", None, "NA"], "b": ["x", "y", "z"]})
        assert complete_rows(frame, ["a"])["b"].tolist() == ["x"]
        assert len(complete_rows(frame, [])) == 3
