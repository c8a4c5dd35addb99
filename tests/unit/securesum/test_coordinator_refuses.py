"""A lying site against an honest coordinator: each rule is one test, named after it."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

from fedglmm_secure import ring
from fedglmm_secure.errors import InputError, LinkError, PeerError, RefusalError
from fedglmm_secure.securesum import Coordinator, Policy, Terms
from fedglmm_secure.securesum.messages import Contribution
from fedglmm_secure.securesum.session import sign_hello

SLOTS = ("first", "second")


class TestHello:
    def test_stranger(self, world, signing_of, draw):
        stranger = sign_hello(signing_of("zeta"), "zeta", world.terms.study_digest, draw(32), draw(32))
        with pytest.raises(RefusalError, match="'zeta' is not in the study's roster"):
            Coordinator(world.terms).receive_hello(stranger)

    def test_another_study(self, world, signing_of, draw):
        other = sign_hello(signing_of("beta"), "beta", bytes(32), draw(32), draw(32))
        with pytest.raises(RefusalError, match="another version of the study"):
            Coordinator(world.terms).receive_hello(other)

    def test_wrong_signature(self, world, signing_of, draw):
        forged = sign_hello(signing_of("gamma"), "beta", world.terms.study_digest, draw(32), draw(32))
        with pytest.raises(PeerError, match="not by the key"):
            Coordinator(world.terms).receive_hello(forged)

    def test_one_nonce_for_two_hellos(self, world, signing_of, draw):
        coordinator = Coordinator(world.terms)
        first = world.sites["beta"].hello()
        coordinator.receive_hello(first)
        second = sign_hello(signing_of("beta"), "beta", world.terms.study_digest, first.nonce, draw(32))
        with pytest.raises(PeerError, match="one nonce for two hellos"):
            coordinator.receive_hello(second)

    def test_new_keys_before_the_session_replace_the_old(self, world, new_site, draw):
        coordinator = Coordinator(world.terms)
        for site in world.sites.values():
            coordinator.receive_hello(site.hello())
        again = new_site("beta", seed="beta started again").hello()
        coordinator.receive_hello(again)
        assert again in coordinator.offer(draw).hellos

    def test_new_keys_in_an_open_session(self, opened, new_site):
        with pytest.raises(LinkError, match="came back without the keys"):
            opened.coordinator.receive_hello(new_site("beta", seed="beta started again").hello())

    def test_the_same_hello_again_is_harmless(self, opened):
        opened.ask()
        opened.coordinator.receive_hello(opened.offer.hellos[0])
        assert opened.coordinator.missing() == ("alpha", "beta", "gamma")

    def test_no_offer_while_a_site_is_missing(self, world, draw):
        coordinator = Coordinator(world.terms)
        coordinator.receive_hello(world.offer.hellos[0])
        assert coordinator.missing() == ("beta", "gamma")
        with pytest.raises(PeerError, match="without a hello of beta, gamma"):
            coordinator.offer(draw)


class TestContribution:
    def test_before_any_question(self, opened):
        early = Contribution(opened.coordinator.session_id, 1, "alpha", bytes(48))
        with pytest.raises(PeerError, match="answers sum 1, which was not asked"):
            opened.coordinator.receive(early)

    def test_two_different_vectors_to_one_sum(self, opened):
        sent = opened.answer_of("alpha", opened.ask())
        opened.coordinator.receive(sent)
        with pytest.raises(PeerError, match="two different messages to sum 1"):
            opened.coordinator.receive(replace(sent, vector=bytes(48)))

    def test_two_different_vectors_to_an_earlier_sum(self, opened):
        request = opened.ask()
        sent = [opened.answer_of(name, request) for name in opened.sites]
        for contribution in sent:
            opened.coordinator.receive(contribution)
        opened.coordinator.total()
        opened.ask(b"the next question")
        with pytest.raises(PeerError, match="two different messages to sum 1"):
            opened.coordinator.receive(replace(sent[0], vector=bytes(48)))

    def test_messages_are_forgotten_with_their_sum(self, opened):
        """What was sent is known again by its digest: a fit of a thousand sums must not fill the memory."""
        request = opened.ask()
        sent = [opened.answer_of(name, request) for name in opened.sites]
        received = [replace(contribution) for contribution in sent]
        left = [weakref.ref(contribution) for contribution in received]
        for contribution in received:
            opened.coordinator.receive(contribution)
        del contribution, received
        assert all(ref() is not None for ref in left)
        opened.coordinator.total()
        opened.ask(b"the next question")
        gc.collect()
        assert not any(ref() is not None for ref in left)
        opened.coordinator.receive(sent[0])

    def test_the_same_vector_again_is_counted_once(self, opened):
        request = opened.ask()
        for name in opened.sites:
            sent = opened.answer_of(name, request)
            opened.coordinator.receive(sent)
            opened.coordinator.receive(sent)
        assert opened.coordinator.total().tolist() == [4.5, -6.0]
        opened.coordinator.receive(sent)

    def test_unknown_site(self, opened):
        sent = opened.answer_of("alpha", opened.ask())
        with pytest.raises(PeerError, match="'zeta' does not belong to this session"):
            opened.coordinator.receive(replace(sent, site="zeta"))

    def test_another_session(self, opened):
        sent = opened.answer_of("alpha", opened.ask())
        with pytest.raises(PeerError, match="does not belong to this session"):
            opened.coordinator.receive(replace(sent, session_id=bytes(32)))

    def test_another_sum_than_was_asked(self, opened):
        sent = opened.answer_of("alpha", opened.ask())
        with pytest.raises(PeerError, match="answers sum 2, which was not asked"):
            opened.coordinator.receive(replace(sent, number=2))

    @pytest.mark.parametrize("numbers", [1, 2, 4])
    def test_wrong_length(self, opened, numbers):
        sent = opened.answer_of("alpha", opened.ask())
        with pytest.raises(PeerError, match="3 numbers"):
            opened.coordinator.receive(replace(sent, vector=bytes(16 * numbers)))
        assert "alpha" in opened.coordinator.missing()


class TestTotal:
    def test_while_a_site_is_missing(self, opened):
        request = opened.ask()
        for name in ("alpha", "gamma"):
            opened.coordinator.receive(opened.answer_of(name, request))
        with pytest.raises(PeerError, match="without the word of beta"):
            opened.coordinator.total()

    def test_second_question_before_the_total(self, opened):
        opened.ask()
        with pytest.raises(PeerError, match="out of order"):
            opened.ask(b"too early")

    def test_sites_that_were_asked_different_questions_open_nothing(self, opened):
        request = opened.ask()
        for name in opened.sites:
            told = replace(request, question=b"another theta") if name == "beta" else request
            opened.coordinator.receive(opened.answer_of(name, told))
        with pytest.raises(PeerError, match="masks did not cancel"):
            opened.coordinator.total()

    def test_one_masked_vector_replaced_by_noise(self, opened, draw):
        request = opened.ask()
        for name in opened.sites:
            sent = opened.answer_of(name, request)
            opened.coordinator.receive(replace(sent, vector=draw(48)) if name == "beta" else sent)
        with pytest.raises(PeerError, match="masks did not cancel"):
            opened.coordinator.total()

    @pytest.mark.parametrize("count", [0.0, 2.0, 1.0 + 2.0**-44])
    def test_count_slot_other_than_the_number_of_sites(self, new_world, count):
        world = new_world(Policy(allow_plain=True), protocol="plain")
        world.open_all()
        request = world.ask()
        wrong = ring.to_bytes(ring.encode(np.array([count, 1.0, 1.0]), ("count", *SLOTS)))
        for name in world.sites:
            sent = world.answer_of(name, request)
            world.coordinator.receive(replace(sent, vector=wrong) if name == "beta" else sent)
        with pytest.raises(PeerError, match="masks did not cancel"):
            world.coordinator.total()


class TestTerms:
    def make(self, **changes: object) -> Terms:
        given = {
            "protocol": "masking",
            "study_digest": bytes(32),
            "roster": (("a", bytes(32)), ("b", bytes(31) + b"1")),
            "minimum_sites": 2,
            "max_sums": 1,
        }
        return Terms(**(given | changes))

    def test_valid(self):
        assert self.make().names == ("a", "b")

    @pytest.mark.parametrize(
        "changes",
        [
            {"roster": (("a", bytes(32)),)},
            {"roster": (("b", bytes(32)), ("a", bytes(31) + b"1"))},
            {"roster": (("a", bytes(32)), ("a", bytes(31) + b"1"))},
            {"roster": (("a", bytes(32)), ("b", bytes(32)))},
            {"roster": (("a", bytes(32)), ("b", bytes(31)))},
            {"roster": tuple((f"{i:03}", i.to_bytes(32, "big")) for i in range(256))},
            {"study_digest": b""},
            {"minimum_sites": 1},
            {"dropouts": -1},
            {"on_dropout": "exclude"},
            {"on_dropout": "ignore"},
            {"max_sums": 0},
        ],
    )
    def test_what_no_study_can_mean(self, changes):
        with pytest.raises(InputError):
            self.make(**changes)

    def test_roster_below_the_minimum(self):
        with pytest.raises(RefusalError, match="at least 3"):
            Coordinator(self.make(minimum_sites=3))

    def test_unknown_protocol(self):
        with pytest.raises(InputError, match="use masking, paillier or plain"):
            Coordinator(self.make(protocol="xor"))
