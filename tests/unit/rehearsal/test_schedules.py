"""Hostile schedules: every run ends in the exact answer or in a named stop, and the judge is no fool."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from fedglmm_secure.rehearsal import hostile, schedules
from fedglmm_secure.rehearsal.lies_about_questions import AsksOneSiteAlone, AsksTwice
from fedglmm_secure.rehearsal.lying_coordinators import LYING_COORDINATORS
from fedglmm_secure.rehearsal.lying_sites import LYING_SITES, FallsSilent, SendsTwoVectors
from fedglmm_secure.rehearsal.network import SiteAtHand
from fedglmm_secure.rehearsal.schedules import PROTOCOLS, Schedule, ground, run
from fedglmm_secure.rehearsal.weather import CALM, Weather
from fedglmm_secure.securesum import Coordinator, Seed, Terms
from fedglmm_secure.securesum.site import Site
from fedglmm_secure.study.site_rows import SiteRows

EXCLUDES = "masking, may lose some, excludes"
PREFERRED = (EXCLUDES, "paillier, may lose some, excludes", "masking", "plain")
FOUL = Weather(3, 0.15, 0.15, 0.05, 0.2, 0.1, 0.1, crashes=0.15, absences=0.2)


def protocol_for(kind) -> str:
    return next(p for p in PREFERRED if kind.fits(ground(p, 4, is_long=False).terms))


@pytest.mark.parametrize("seed", range(60))
def test_a_schedule_ends_in_the_exact_answer_or_in_a_named_stop(seed: int) -> None:
    outcome = run(Schedule.of(seed))
    assert outcome.violations == [], outcome.schedule


@pytest.mark.parametrize("kind", LYING_COORDINATORS, ids=lambda kind: kind.__name__)
def test_a_lie_of_the_coordinator_is_told_and_found_out_by_a_site(kind) -> None:
    schedule = Schedule(1, protocol_for(kind), 4, is_long=False, weather=CALM, coordinator=kind, is_blind=True)
    outcome = run(schedule)
    assert outcome.was_lied_to
    assert outcome.violations == []
    assert outcome.end != "exact" or kind.harmless


@pytest.mark.parametrize("kind", LYING_SITES, ids=lambda kind: kind.__name__)
def test_a_lie_of_a_site_is_told_and_found_out(kind) -> None:
    outcome = run(Schedule(1, protocol_for(kind), 4, is_long=False, weather=CALM, site=kind))
    assert outcome.was_lied_to
    assert outcome.violations == []
    assert outcome.end != "exact" or kind.harmless or kind.stays_away


def test_a_site_that_answers_twice_is_named() -> None:
    outcome = run(Schedule(1, EXCLUDES, 4, is_long=False, weather=CALM, site=SendsTwoVectors))
    assert re.match(r"site 'hospital_\w' sent two different messages to sum \d", outcome.sentence)


def test_a_lost_liar_is_left_out_where_the_study_lets_it_be() -> None:
    outcome = run(Schedule(1, EXCLUDES, 4, is_long=False, weather=CALM, site=FallsSilent))
    assert (outcome.end, outcome.violations) == ("exact", [])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_foul_weather_alone_stops_nobody(protocol: str) -> None:
    outcome = run(Schedule(5, protocol, 4, is_long=False, weather=FOUL))
    assert (outcome.end, outcome.violations) == ("exact", [])
    assert "killed and started again" in outcome.weather
    assert "lost" in outcome.weather


def test_a_fit_of_more_than_one_batch_of_keys_survives_foul_weather() -> None:
    outcome = run(Schedule(6, "masking, may lose some, waits", 4, is_long=True, weather=FOUL))
    assert (outcome.end, outcome.violations) == ("exact", [])
    sums = schedules.exact_sums("masking, may lose some, waits", 4, True, ground(EXCLUDES, 4, is_long=True).terms.names)
    assert len(sums) > 16


@pytest.mark.parametrize("protocol", [EXCLUDES, "paillier"])
def test_the_same_seed_gives_the_same_run_byte_for_byte(protocol: str) -> None:
    def sent() -> list[tuple[str, bytes]]:
        made = schedules._Run(Schedule(7, protocol, 4, is_long=False, weather=FOUL))
        made.network.run()
        return made.network.sent

    assert sent() == sent()


def test_a_site_gone_for_good_is_named() -> None:
    outcome = run(Schedule(8, "masking", 3, is_long=False, weather=replace(FOUL, gone=1.0)))
    assert (outcome.end, outcome.violations) == ("LinkError", [])
    assert "no word from hospital_" in outcome.sentence


class TestTheJudge:
    """Each property is seen to fail when the product is broken on purpose."""

    def test_sees_a_wrong_sum(self, monkeypatch) -> None:
        honest = Coordinator.total
        monkeypatch.setattr(Coordinator, "total", lambda self: honest(self) + 2.0**-40)
        outcome = run(Schedule(1, "masking", 3, is_long=False, weather=CALM))
        assert any("a wrong sum" in violation for violation in outcome.violations)

    def test_sees_what_leaves_before_the_journal_has_it(self, monkeypatch) -> None:
        monkeypatch.setattr(SiteAtHand, "_write", lambda self, record: None)
        outcome = run(Schedule(1, "masking", 3, is_long=False, weather=CALM))
        assert any("before its journal had it" in violation for violation in outcome.violations)

    def test_sees_a_second_answer_after_a_restart_without_the_journal(self, monkeypatch) -> None:
        restart = SiteAtHand.restart

        def forgetful(self) -> None:
            self.journal.clear()
            restart(self)

        monkeypatch.setattr(SiteAtHand, "restart", forgetful)
        outcome = run(Schedule(5, "paillier", 4, is_long=False, weather=FOUL))
        assert any("a second, different answer" in violation for violation in outcome.violations)

    def test_sees_a_site_that_asks_anew_after_each_restart(self, monkeypatch) -> None:
        restart = SiteAtHand.restart

        def reseeded(self) -> None:
            self._seed = Seed(bytes(32))
            self.journal.clear()
            restart(self)

        monkeypatch.setattr(SiteAtHand, "restart", reseeded)
        outcome = run(Schedule(5, "masking", 4, is_long=False, weather=FOUL))
        assert any("stopped by the weather alone" in violation for violation in outcome.violations)

    def test_sees_a_hang(self, monkeypatch) -> None:
        monkeypatch.setattr(hostile, "MOST_STEPS", 5)
        monkeypatch.setattr(schedules, "MOST_STEPS", 5)
        outcome = run(Schedule(1, "masking", 3, is_long=False, weather=CALM))
        assert "it hangs" in outcome.violations

    def test_sees_a_check_of_the_cohort_that_is_missing(self, monkeypatch) -> None:
        monkeypatch.setattr(Terms, "check_cohort", lambda *_: None)
        outcome = run(Schedule(1, "masking", 3, is_long=False, weather=CALM, coordinator=AsksOneSiteAlone))
        assert any("AsksOneSiteAlone" in violation for violation in outcome.violations)

    def test_sees_a_site_that_answers_a_second_question(self, monkeypatch) -> None:
        check = Site.check

        def obliging(self, request):
            if self._sum is not None and request.number == self._sum.number:
                self._sum.view = replace(self._sum.view, request=request)
            return check(self, request)

        monkeypatch.setattr(Site, "check", obliging)
        outcome = run(Schedule(1, "masking", 3, is_long=False, weather=CALM, coordinator=AsksTwice))
        assert any("AsksTwice" in violation for violation in outcome.violations)

    def test_lets_an_exception_outside_the_error_tree_through(self, monkeypatch) -> None:
        def broken(self, question):
            raise ZeroDivisionError

        monkeypatch.setattr(SiteRows, "answer", broken)
        with pytest.raises(ZeroDivisionError):
            run(Schedule(1, "plain", 3, is_long=False, weather=CALM))
