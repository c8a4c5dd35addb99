"""A lying coordinator against an honest site: each rule is one test, which fails without its check."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedglmm_secure.errors import PeerError, QuantityError, RefusalError
from fedglmm_secure.securesum import Hello, Policy, SessionOffer
from fedglmm_secure.securesum.masking.keys import MaskKey
from fedglmm_secure.securesum.session import sign_hello

ANSWER = np.array([1.5, -2.0])
SLOTS = ("first", "second")


def offer_with(world, changed: Hello) -> SessionOffer:
    return replace(world.offer, hellos=tuple(changed if h.site == changed.site else h for h in world.offer.hellos))


def hello_of(world, name: str) -> Hello:
    return next(hello for hello in world.offer.hellos if hello.site == name)


class TestBeforeHello:
    def test_key_outside_the_roster(self, new_site, signing_of):
        with pytest.raises(RefusalError, match="key is not in the study's roster"):
            new_site(signing=signing_of("a stranger"))

    def test_plain_without_the_sites_own_consent(self, new_site):
        with pytest.raises(RefusalError, match="allow_plain = true"):
            new_site(protocol="plain")

    def test_plain_with_consent(self, new_site):
        assert new_site(protocol="plain", policy=Policy(allow_plain=True)).hello().site == "alpha"

    def test_roster_below_the_studys_minimum(self, new_site):
        with pytest.raises(RefusalError, match="3 sites and at least 4 are required"):
            new_site(minimum_sites=4)

    def test_roster_below_the_sites_own_minimum(self, new_site):
        with pytest.raises(RefusalError, match="3 sites and at least 5 are required"):
            new_site(policy=Policy(minimum_sites=5))

    def test_a_policy_is_never_looser_than_the_study(self, new_site):
        with pytest.raises(RefusalError, match="at least 4"):
            new_site(minimum_sites=4, policy=Policy(minimum_sites=2))


class TestOffer:
    def test_another_study_digest(self, world, signing_of):
        theirs = hello_of(world, "beta")
        other = sign_hello(signing_of("beta"), "beta", bytes(32), theirs.nonce, theirs.mask_public_key)
        with pytest.raises(RefusalError, match="another version of the study"):
            world.sites["alpha"].open(offer_with(world, other))

    def test_signature_by_another_key(self, world, signing_of):
        theirs = hello_of(world, "beta")
        forged = sign_hello(signing_of("gamma"), "beta", theirs.study_digest, theirs.nonce, theirs.mask_public_key)
        with pytest.raises(PeerError, match="not by the key"):
            world.sites["alpha"].open(offer_with(world, forged))

    @pytest.mark.parametrize("field", ["nonce", "mask_public_key", "signature"])
    def test_field_changed_after_signing(self, world, field):
        theirs = hello_of(world, "beta")
        changed = replace(theirs, **{field: bytes(len(getattr(theirs, field)))})
        with pytest.raises(PeerError, match="not by the key"):
            world.sites["alpha"].open(offer_with(world, changed))

    def test_missing_site(self, world):
        with pytest.raises(RefusalError, match="all sites of the roster must take part"):
            world.sites["alpha"].open(replace(world.offer, hellos=world.offer.hellos[:2]))

    def test_additional_site(self, world, signing_of, draw):
        stranger = sign_hello(signing_of("zeta"), "zeta", world.terms.study_digest, draw(32), draw(32))
        with pytest.raises(RefusalError, match="all sites of the roster must take part"):
            world.sites["alpha"].open(replace(world.offer, hellos=(*world.offer.hellos, stranger)))

    def test_own_hello_changed(self, world, signing_of, draw):
        mine = hello_of(world, "alpha")
        earlier = sign_hello(signing_of("alpha"), "alpha", mine.study_digest, draw(32), draw(32))
        with pytest.raises(PeerError, match="changed this site's own hello"):
            world.sites["alpha"].open(offer_with(world, earlier))

    def test_two_equal_nonces(self, world, signing_of, draw):
        mine = hello_of(world, "alpha")
        copied = sign_hello(signing_of("beta"), "beta", mine.study_digest, mine.nonce, draw(32))
        with pytest.raises(PeerError, match="same nonce or mask key"):
            world.sites["alpha"].open(offer_with(world, copied))

    def test_coordinator_nonce_equal_to_a_sites(self, world):
        copied = replace(world.offer, coordinator_nonce=hello_of(world, "beta").nonce)
        with pytest.raises(PeerError, match="same nonce or mask key"):
            world.sites["alpha"].open(copied)

    def test_two_equal_mask_keys(self, world, signing_of, draw):
        theirs = hello_of(world, "gamma")
        copied = sign_hello(signing_of("beta"), "beta", theirs.study_digest, draw(32), theirs.mask_public_key)
        with pytest.raises(PeerError, match="same nonce or mask key"):
            world.sites["alpha"].open(offer_with(world, copied))

    def test_mask_key_of_low_order(self, world, signing_of, draw):
        theirs = hello_of(world, "beta")
        weak = sign_hello(signing_of("beta"), "beta", theirs.study_digest, draw(32), bytes(32))
        with pytest.raises(PeerError, match="low order"):
            world.sites["alpha"].open(offer_with(world, weak))

    def test_second_offer_in_one_session(self, opened, draw):
        before = opened.sites["alpha"].session_id
        with pytest.raises(PeerError, match="out of order"):
            opened.sites["alpha"].open(replace(opened.offer, coordinator_nonce=draw(32)))
        assert opened.sites["alpha"].session_id == before

    def test_session_that_the_journal_holds(self, opened, new_site):
        again = new_site("alpha", earlier_sessions=[opened.coordinator.session_id])
        assert again.hello() in opened.offer.hellos
        with pytest.raises(PeerError, match="journal already holds"):
            again.open(opened.offer)

    def test_the_same_offer_again_is_harmless(self, opened):
        before = opened.sites["alpha"].session_id
        opened.sites["alpha"].open(opened.offer)
        assert opened.sites["alpha"].session_id == before


class TestRequest:
    def test_before_any_session(self, world):
        with pytest.raises(PeerError, match="another session"):
            world.sites["alpha"].receive(world.ask())

    def test_wrong_session_id(self, opened):
        with pytest.raises(PeerError, match="another session"):
            opened.sites["alpha"].receive(replace(opened.ask(), session_id=bytes(32)))

    @pytest.mark.parametrize(
        ("participants", "sentence"),
        [
            (("alpha", "beta"), "all sites of the roster must take part"),
            (("beta", "gamma"), "not all among those taking part"),
            (("alpha", "beta", "gamma", "zeta"), "not all among those taking part"),
        ],
    )
    def test_participants_other_than_the_whole_roster(self, opened, participants, sentence):
        with pytest.raises(RefusalError, match=sentence):
            opened.sites["alpha"].receive(replace(opened.ask(), participants=participants))

    def test_skipped_number(self, opened):
        with pytest.raises(PeerError, match="skips from sum 0 to sum 2"):
            opened.sites["alpha"].receive(replace(opened.ask(), number=2))

    def test_replayed_lower_number(self, opened):
        first = opened.ask()
        opened.answer_of("alpha", first)
        opened.answer_of("alpha", replace(first, number=2))
        with pytest.raises(PeerError, match="asks for sum 1 again after sum 2"):
            opened.sites["alpha"].receive(first)

    @pytest.mark.parametrize("change", [{"question": b"another question"}, {"length": 4}])
    @pytest.mark.parametrize("answered", [False, True])
    def test_second_different_question_under_one_number(self, opened, change, answered):
        request = opened.ask()
        if answered:
            opened.answer_of("alpha", request)
        else:
            opened.sites["alpha"].receive(request)
        with pytest.raises(PeerError, match="second, different question under sum 1"):
            opened.sites["alpha"].receive(replace(request, **change))

    def test_next_question_while_one_is_being_answered(self, opened):
        request = opened.ask()
        opened.sites["alpha"].receive(request)
        with pytest.raises(PeerError, match="out of order in the state 'computing an answer'"):
            opened.sites["alpha"].receive(replace(request, number=2))
        assert opened.sites["alpha"].answer(ANSWER, SLOTS).message.number == 1

    def test_more_sums_than_the_study_allows(self, opened):
        request = opened.ask()
        for number in range(1, 41):
            opened.answer_of("alpha", replace(request, number=number))
        with pytest.raises(RefusalError, match="more than the 40 sums"):
            opened.sites["alpha"].receive(replace(request, number=41))

    def test_length_other_than_the_questions(self, opened):
        opened.sites["alpha"].receive(replace(opened.ask(), length=7))
        with pytest.raises(PeerError, match="asks for 6 numbers in sum 1, but its question has 2"):
            opened.sites["alpha"].answer(ANSWER, SLOTS)


class TestAnswer:
    def test_without_a_question(self, opened):
        with pytest.raises(PeerError, match="no question to answer"):
            opened.sites["alpha"].answer(ANSWER, SLOTS)

    def test_second_answer_to_one_question(self, opened):
        opened.answer_of("alpha", opened.ask())
        with pytest.raises(PeerError, match="no question to answer"):
            opened.sites["alpha"].answer(ANSWER + 1, SLOTS)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**43, -(2.0**43), 1e300])
    def test_value_that_does_not_fit_is_refused_by_name(self, opened, value):
        opened.sites["alpha"].receive(opened.ask())
        with pytest.raises(QuantityError, match="second is"):
            opened.sites["alpha"].answer(np.array([0.0, value]), SLOTS)

    def test_the_same_request_again_gives_the_very_bytes(self, opened):
        request = opened.ask()
        sent = opened.answer_of("alpha", request)
        again = opened.sites["alpha"].receive(request)
        assert again.message is sent
        assert again.record is None  # it stands in the journal

    def test_the_same_request_while_computing_is_not_answered_twice(self, opened):
        request = opened.ask()
        assert opened.sites["alpha"].receive(request) is None
        assert opened.sites["alpha"].receive(request) is None
        opened.sites["alpha"].answer(ANSWER, SLOTS)

    def test_a_refused_message_changes_nothing(self, opened):
        request = opened.ask()
        with pytest.raises(PeerError):
            opened.sites["alpha"].receive(replace(request, number=3))
        assert opened.answer_of("alpha", request).number == 1


def test_no_secret_in_any_repr(opened, signing_of):
    site = opened.sites["alpha"]
    contribution = opened.answer_of("alpha", opened.ask())
    secrets = [site._seed.content, MaskKey.of_session(site._seed).private_bytes, *site._side._secrets.values()]
    secrets.append(signing_of("alpha")._private_key.private_bytes_raw())
    holders = [site, site._seed, site._side, site._sum._protected, MaskKey.of_session(site._seed), contribution]
    shown = " ".join(map(repr, [*holders, signing_of("alpha")]))
    for secret in [*secrets, contribution.vector]:
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown
