"""The coordinator's side of a fit: it asks, relays, waits or goes on, and everybody hears how it ended."""

from __future__ import annotations

import pytest

from fedglmm_secure.errors import FedglmmError, FitError, LinkError, PeerError, RefusalError, TableError
from fedglmm_secure.model.questions import Describe
from fedglmm_secure.securesum import Phase, Relay
from fedglmm_secure.wire.messages import Finished, Next, Ready, Refusal, SayHello, Stopped

FIVE = ("a", "b", "c", "d", "e")
DROPOUTS = {"names": FIVE, "dropouts": 1}
EXCLUDE = DROPOUTS | {"on_dropout": "exclude"}
ROWS = 40


@pytest.mark.parametrize("security", [{}, DROPOUTS, EXCLUDE], ids=["masking", "wait", "exclude"])
def test_every_site_gets_its_questions_its_relays_and_the_end(ward, security):
    made = ward(sums=3, **security)
    assert isinstance(made.run(), Finished)
    assert set(made.round().values()) == {made.conductor.end}
    (result,) = made.kept
    assert len(result.totals) == 3
    assert result.totals[0][0] == ROWS * len(made.sites)
    assert made.said == [f"connected: {name}" + w for name, w in zip(made.sites, waiting(made.sites), strict=True)]


def waiting(names):
    names = list(names)
    return ["; waiting for " + ", ".join(names[i + 1 :]) if names[i + 1 :] else "" for i in range(len(names))]


def test_nobody_gets_a_question_before_every_site_said_hello(ward):
    made = ward()
    assert made.send("a") is None
    assert made.conductor.missing() == ("b", "c")
    made.send("b")
    assert isinstance(made.send("c"), Next)
    assert isinstance(made.send("a"), Next)


def test_the_same_message_again_gets_the_same_answer(ward):
    made = ward(**DROPOUTS)
    for _ in range(10):
        first = {name: made.send(name) for name in made.sites}
        again = {name: made.send(name) for name in made.sites}
        assert {name: answer for name, answer in first.items() if answer}.items() <= again.items()
        if made.conductor.end is None:
            made.round()
    assert len(made.kept) == 1


class TestLostSites:
    def test_it_waits_where_the_study_says_so(self, ward):
        made = ward(**DROPOUTS)
        made.until(Phase.CONTRIBUTE)
        with pytest.raises(LinkError, match="no word from e; start those sites again"):
            made.run("e")
        assert made.conductor.end is None  # everything can be gone on with
        assert isinstance(made.run(), Finished)

    @pytest.mark.parametrize("phase", [Phase.ADVERTISE, Phase.SHARE, Phase.CONTRIBUTE])
    def test_a_lost_site_is_left_out_and_the_fit_begins_again(self, ward, phase):
        """Its first question to the smaller cohort describes: no two sums at one theta, over S and over S less one."""
        made = ward(sums=2, **EXCLUDE)
        made.until(phase)
        made.run("e")
        (result,) = made.kept
        assert result.totals[0][0] == 4 * ROWS
        assert made.conductor.missing() == ()
        assert any(line.startswith("left out: e; the fit") for line in made.said)
        asked = [r.received for r in made.sites["a"].journal[1:] if hasattr(r.received, "question")]
        assert [len(request.participants) for request in asked] == [5, 4, 4]

    def test_a_site_that_was_left_out_hears_so(self, ward):
        made = ward(sums=2, **EXCLUDE)
        made.until(Phase.CONTRIBUTE)
        made.round("e")
        made.conductor.lose()
        for _ in range(3):
            made.round("e")
        with pytest.raises(LinkError, match="began without site e"):
            made.send("e")
        assert made.conductor.end is None  # that concerns it alone

    def test_a_site_lost_after_its_vector_is_in_the_result(self, ward):
        made = ward(sums=2, **DROPOUTS)
        made.until(Phase.UNMASK)
        made.round("e")
        made.conductor.lose()
        made.run()
        assert made.kept[0].totals[0][0] == 5 * ROWS


class TestEnds:
    @pytest.mark.parametrize(
        ("error", "heard"),
        [
            (LinkError("gone"), LinkError),
            (FitError("no"), FitError),
            (PeerError("a breach"), PeerError),
            (RefusalError("no"), RefusalError),
            (TableError("no"), RefusalError),
            (FedglmmError("no"), RefusalError),
        ],
    )
    def test_a_refusal_of_one_site_stops_all(self, ward, error, heard):
        made = ward()
        made.round()
        made.sites["b"].message = Refusal("b", error)
        answer = made.send("b")
        assert isinstance(answer, Stopped)
        assert type(answer.error) is heard
        assert str(answer.error).startswith("site b refused: ")
        assert str(made.send("a").error) == str(made.send("c").error) == str(answer.error)
        assert made.kept == []

    def test_a_message_that_breaks_the_sum_stops_all(self, ward):
        made = ward()
        made.until(Phase.CONTRIBUTE)
        made.conductor.take(made.sites["a"].message)
        changed = vars(made.sites["a"].message) | {"vector": bytes(16)}
        made.sites["a"].message = type(made.sites["a"].message)(**changed)
        answer = made.send("a")
        assert isinstance(answer.error, PeerError)
        assert "two different messages to sum 1" in str(answer.error)

    def test_a_sum_that_does_not_open_stops_all(self, ward):
        made = ward()
        made.until(Phase.CONTRIBUTE)
        message = made.sites["b"].message
        made.sites["b"].message = type(message)(**(vars(message) | {"vector": bytes(len(message.vector))}))
        assert isinstance(made.run().error, PeerError)
        assert "masks did not cancel" in str(made.conductor.end.error)

    def test_a_failure_of_the_fit_is_one_sentence_without_its_words(self, ward):
        def fit():
            yield Describe()
            raise ZeroDivisionError("a secret number")

        made = ward(fit=fit)
        assert str(made.run().error) == "the coordinator failed (ZeroDivisionError); run it with --debug"
        assert isinstance(made.conductor.end.error.__cause__, ZeroDivisionError)

    def test_a_fit_without_an_answer_is_told_as_it_is(self, ward):
        def fit():
            yield Describe()
            raise FitError("separated")

        assert type(ward(fit=fit).run().error) is FitError

    def test_after_the_end_nothing_is_taken(self, ward):
        made = ward()
        end = made.run()
        made.sites["a"].message = Refusal("a", FitError("late"))
        assert made.send("a") == end
        made.conductor.stop(LinkError("late"))
        assert made.conductor.end == end


class TestStrangers:
    def test_a_message_of_another_session_is_told_to_say_hello(self, ward):
        made = ward()
        made.until(Phase.CONTRIBUTE)
        made.sites["a"].message = Ready("a", bytes(32), 3)
        assert made.send("a") == SayHello()
        message = made.sites["b"].message
        made.sites["b"].message = type(message)(**(vars(message) | {"session_id": bytes(32)}))
        assert made.send("b") == SayHello()
        assert made.conductor.end is None

    def test_a_site_that_is_where_the_session_cannot_be(self, ward):
        """As after a restored backup; it concerns the site alone."""
        made = ward(sums=2)
        made.until(Phase.CONTRIBUTE)
        made.sites["a"].message = Ready("a", made.conductor.session_id, 7)
        with pytest.raises(PeerError, match="is at sum 7 when the session is at sum 1"):
            made.send("a")
        assert made.conductor.end is None

    def test_a_relay_is_for_one_site(self, ward):
        """Each gets what was sealed for it, and no other."""
        made = ward(**DROPOUTS)
        made.until(Phase.SHARE)
        for name in made.sites:
            made.send(name)
        relays = {name: made.send(name) for name in made.sites}
        assert all(isinstance(relay, Relay) for relay in relays.values())
        sealed = [part.sealed for relay in relays.values() for part in relay.parts if part.sealed]
        assert len(set(sealed)) == len(sealed) == 20
