"""A site's side of a fit: every check before an answer, and the journal before anything leaves."""

from __future__ import annotations

import secrets
from dataclasses import replace
from functools import partial

import pytest

from fedglmm_secure.errors import InputError, PeerError, RefusalError
from fedglmm_secure.exchange import Party, SessionOver
from fedglmm_secure.model import questions
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.questions import ALL, TRAINING, Describe, MarginalDerivatives
from fedglmm_secure.securesum import Phase, Policy, Relay, Site, SumRequest
from fedglmm_secure.securesum.messages import Agreement, Contribution
from fedglmm_secure.wire.messages import Next, Ready, SayHello, SendAgain, Wait
from fedglmm_secure.wire.terms import terms_of
from tests.unit.exchange.conftest import study_of

FIVE = ("a", "b", "c", "d", "e")
DROPOUTS = {"names": FIVE, "dropouts": 1}
DIVIDED = {"penalty": [0.0, 1.0], "selection": "validation"}
DIVIDED_LAYOUT = study_of(FIVE, DIVIDED).layout
BAD = MarginalDerivatives((0.0, 0.0, 1.0), 1, (0, 1), (1.0,))


def first_question(ward, name="a"):
    """What the conductor answers to the last hello."""
    for other in ward.sites:
        ward.send(other)
    answer = ward.send(name)
    assert isinstance(answer, Next)
    assert answer.offer is not None
    return answer


def dividing():
    """A fit that asks for the training rows, and then for all rows at the same parameters."""
    description = tuple((yield Describe())[: len(Description.slots(DIVIDED_LAYOUT))].tolist())
    question = MarginalDerivatives((0.1, 0.0, 0.5), 1, (0, 1), description, TRAINING)
    yield question
    yield replace(question, part=ALL)


def redescribing(honest=1):
    """A fit that changes the pooled description after some honest questions about the model."""
    description = tuple((yield Describe())[: len(Description.slots(DIVIDED_LAYOUT))].tolist())
    question = MarginalDerivatives((0.1, 0.0, 0.5), 1, (0, 1), description)
    for _ in range(honest):
        yield question
    yield replace(question, description=(*description[:-1], 2.0 * description[-1]))


def after_each_reply_a_crash(made):
    """Run to the end; every site is killed and started again after each message that it made."""
    while made.conductor.end is None:
        made.round()
        for site in made.sites.values():
            site.start()


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

    @pytest.mark.parametrize("security", [{}, DROPOUTS], ids=["masking", "masking with dropouts"])
    def test_a_refused_question_changes_nothing(self, ward, security):
        """Nothing was made for it, so nothing can be had by asking again for the last message, or by going on."""
        made = ward(**security)
        site = made.sites["a"]
        with pytest.raises(PeerError, match="only the first sum describes"):
            site.party.reply(asking(first_question(made), BAD))
        nowhere = Ready("a", made.conductor.session_id, 0)
        assert site.party.reply(SendAgain()) == site.party.reply(Wait()) == nowhere
        keys = (Agreement(made.conductor.session_id, 1, "a", ("a",), bytes(64)),)
        with pytest.raises(PeerError, match="which is not the present one"):
            site.party.reply(Relay(made.conductor.session_id, 1, Phase.ADVERTISE, keys))
        assert len(site.journal) == 1

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
        made = ward(**DROPOUTS)
        while made.conductor.end is None:
            made.round()
            for site in made.sites.values():
                before = site.message
                site.start()
                assert site.message == before
        assert len(made.kept) == 1

    def test_one_that_was_killed_while_it_computed(self, ward):
        made = ward(**DROPOUTS)
        site = made.sites["a"]
        made.until(Phase.SHARE)
        for name in reversed(FIVE):
            relay = made.send(name)
        assert site.machine.receive(relay) is None  # the answer is owed, and never made
        shares = site.message
        site.start()
        assert site.message == shares
        made.run()
        assert len(made.kept) == 1

    @pytest.mark.parametrize("security", [{}, DROPOUTS], ids=["masking", "masking with dropouts"])
    def test_it_remembers_where_it_answered_for_the_training_rows(self, ward, security):
        """All rows at the same parameters would give the validation rows alone, however often it is killed."""
        made = ward(fit=dividing, model=DIVIDED, **security)
        with pytest.raises(PeerError, match="would give the validation rows alone"):
            after_each_reply_a_crash(made)
        assert sum(isinstance(record.received, SumRequest) for record in made.sites["a"].journal) >= 2

    def test_it_remembers_what_was_described(self, ward):
        """Another description would change the units of theta."""
        made = ward(fit=redescribing)
        with pytest.raises(PeerError, match="changes its pooled description"):
            after_each_reply_a_crash(made)

    def test_what_it_was_told_with_a_question_that_it_has_not_answered_is_judged(self, ward):
        """Sum 17 begins with keys: its question stands in the journal before it is answered, or refused."""
        made = ward(fit=partial(redescribing, honest=15), **DROPOUTS)
        with pytest.raises(PeerError, match="changes its pooled description"):
            after_each_reply_a_crash(made)
        assert made.sites["a"].message.number == 17

    def test_it_judges_what_it_owes_by_its_policy_of_now(self, ward):
        """The steward stopped it to set a stricter limit: what was let through before is no reason to answer."""
        made = ward(sums=17, **DROPOUTS)  # sum 17 begins with keys
        site = made.sites["a"]
        while not (getattr(site.message, "phase", None) is Phase.SHARE and site.message.number == 17):
            made.round()
        limits = {**site.study.disclosure.model_dump(), "minimum_rows": 10_000}
        site.study, approved = site.study.model_copy(update={"disclosure": limits}), site.study
        machine = Site(terms_of(approved), site.signing, Policy(), site.seed, randomness=secrets.token_bytes)
        stricter = Party(site.study, site.rows(), machine, site.keep)
        with pytest.raises(RefusalError, match="fewer than minimum_rows = 10000"):
            stricter.begin(tuple(site.journal))

    def test_one_that_was_only_offered_the_session(self, ward):
        made = ward()
        site = made.sites["a"]
        site.journal.append(site.machine.open(first_question(made).offer))
        site.start()
        assert site.message == Ready("a", made.conductor.session_id, 0)
        made.run()
        assert len(made.kept) == 1
