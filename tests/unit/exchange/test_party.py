"""A site's side of a fit: every check before an answer, and the journal before anything leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedglmm_secure.errors import InputError, PeerError
from fedglmm_secure.exchange import SessionOver
from fedglmm_secure.model import questions
from fedglmm_secure.model.questions import MarginalDerivatives
from fedglmm_secure.securesum import Phase, Relay
from fedglmm_secure.securesum.messages import Contribution
from fedglmm_secure.securesum.protection import relayed
from fedglmm_secure.wire.messages import Next, Ready, SayHello, Wait

FIVE = ("a", "b", "c", "d", "e")
DROPOUTS = {"names": FIVE, "dropouts": 1}
BAD = MarginalDerivatives((0.0, 0.0, 1.0), 1, (0, 1), (1.0,))


def first_question(ward, name="a"):
    """What the conductor answers to the last hello."""
    for other in ward.sites:
        ward.send(other)
    answer = ward.send(name)
    assert isinstance(answer, Next)
    assert answer.offer is not None
    return answer


def asking(message: Next, question: questions.Question) -> Next:
    """The same request with another question, as a lying coordinator would bind it."""
    return replace(message, request=replace(message.request, question=questions.encode(question)), question=question)


class TestJournal:
    def test_nothing_leaves_before_the_journal_has_it(self, ward):
        """In every phase: what ``reply`` returns stands in a record that was kept before."""
        made = ward(**DROPOUTS)
        kept = set()
        while made.conductor.end is None:
            for name, answer in made.round().items():
                site = made.sites[name]
                if isinstance(answer, Next | Relay):
                    assert site.message == site.journal[-1].made[0]
                    kept.add(site.message.phase)
        assert kept == {Phase.ADVERTISE, Phase.SHARE, Phase.CONTRIBUTE, Phase.AGREE, Phase.UNMASK}

    @pytest.mark.parametrize("moment", range(6))
    def test_nothing_leaves_when_the_journal_cannot_be_written(self, ward, moment):
        made = ward(**DROPOUTS)
        site = made.sites["a"]
        written = []

        def keep(record):
            if len(written) == moment:
                raise OSError("disk full")
            written.append(record)

        site.keep = keep
        left = []
        made.sites["a"].party.reply = lambda answer, reply=site.party.reply: left.append(reply(answer)) or left[-1]
        with pytest.raises(OSError, match="disk full"):
            made.run()
        assert len(left) == max(0, len(written) - 1)  # the offer is written down, and nothing leaves for it
        for again in (made.send("a"), Wait()):
            with pytest.raises(InputError, match="journal could not be written"):
                site.party.reply(again)

    def test_an_answer_that_was_given_is_given_again_without_a_new_record(self, ward):
        made = ward()
        question = first_question(made)
        site = made.sites["a"]
        sent = site.party.reply(question)
        assert isinstance(sent, Contribution)
        assert site.party.reply(question) == sent
        assert len(site.journal) == 2  # the offer and the answer


class TestQuestions:
    def test_a_question_that_the_study_does_not_allow(self, ward):
        made = ward()
        with pytest.raises(PeerError, match="only the first sum describes"):
            made.sites["a"].party.reply(asking(first_question(made), BAD))
        assert len(made.sites["a"].journal) == 1

    @pytest.mark.parametrize("security", [{}, DROPOUTS], ids=["masking", "masking with dropouts"])
    def test_a_refused_question_is_refused_again(self, ward, security):
        """Where a sum begins with keys, even those do not leave."""
        made = ward(**security)
        party, question = made.sites["a"].party, asking(first_question(made), BAD)
        for _ in range(3):
            with pytest.raises(PeerError, match="only the first sum describes"):
                party.reply(question)
        assert len(made.sites["a"].journal) == 1

    def test_the_answer_to_a_refused_question_is_never_computed(self, ward):
        """Not even when the coordinator goes on with the exchange of keys as if nothing had happened."""
        made = ward(**DROPOUTS)
        question = asking(first_question(made), BAD)
        for site in made.sites.values():
            with pytest.raises(PeerError, match="only the first sum describes"):
                site.party.reply(question)
        machines = {name: site.machine for name, site in made.sites.items()}
        keys = tuple(machines[name]._sum.sent for name in FIVE)
        session = made.conductor.session_id
        shares = [site.party.reply(Relay(session, 1, Phase.ADVERTISE, keys)) for site in made.sites.values()]
        for name, site in made.sites.items():
            parcels = tuple(relayed(sent, name, FIVE) for sent in shares)
            with pytest.raises(PeerError, match="whose question it did not ask"):
                site.party.reply(Relay(session, 1, Phase.SHARE, parcels))

    def test_a_question_before_the_offer(self, ward):
        made = ward()
        with pytest.raises(PeerError, match="belongs to another session"):
            made.sites["a"].party.reply(replace(first_question(made), offer=None))

    def test_a_question_under_anothers_digest(self, ward):
        """The request is bound to the question's canonical bytes when it is decoded; a site answers what it checked."""
        made = ward()
        question = first_question(made)
        made.sites["a"].party.reply(question)
        with pytest.raises(PeerError, match="second, different question under sum 1"):
            made.sites["a"].party.reply(replace(asking(question, BAD), offer=None))


class TestPolls:
    def test_wait_is_answered_with_where_the_site_is(self, ward):
        made = ward()
        site = made.sites["a"]
        assert site.party.reply(Wait()) == site.message  # its hello, before there is a session
        site.party.reply(first_question(made))
        assert site.party.reply(Wait()) == Ready("a", made.conductor.session_id, 1, Phase.CONTRIBUTE)

    def test_a_session_that_the_coordinator_does_not_know(self, ward):
        made = ward()
        with pytest.raises(SessionOver, match="does not know this session"):
            made.sites["a"].party.reply(SayHello())


class TestRestart:
    def test_it_sends_what_it_sent_last(self, ward):
        """Or, while it owes the answer, asks for the question again, and then sends what it sent last."""
        made, asked_again = ward(**DROPOUTS), 0
        while made.conductor.end is None:
            made.round()
            for name, site in made.sites.items():
                before = site.message
                if len(site.journal) == 1:
                    continue
                site.start()
                if site.message != before:
                    assert before.phase in (Phase.ADVERTISE, Phase.SHARE)
                    assert site.message == Ready(name, made.conductor.session_id, 0)
                    assert site.party.reply(made.send(name)) == before
                    site.message, asked_again = before, asked_again + 1
        assert asked_again >= 2 * len(FIVE)
        assert len(made.kept) == 1

    def test_one_that_was_killed_while_it_computed(self, ward):
        made = ward(**DROPOUTS)
        site = made.sites["a"]
        made.until(Phase.SHARE)
        for name in reversed(FIVE):
            relay = made.send(name)
        assert site.machine.receive(relay) is None  # the answer is owed, and never made
        site.start()
        assert site.message == Ready("a", made.conductor.session_id, 0)
        made.run()
        assert len(made.kept) == 1

    def test_one_that_was_only_offered_the_session(self, ward):
        made = ward()
        site = made.sites["a"]
        site.journal.append(site.machine.open(first_question(made).offer))
        site.start()
        assert site.message == Ready("a", made.conductor.session_id, 0)
        made.run()
        assert len(made.kept) == 1
