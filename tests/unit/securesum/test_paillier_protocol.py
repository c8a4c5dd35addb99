"""Threshold Paillier: what must never happen, by a lying coordinator or a lying site, at a real site."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedglmm_secure.errors import InputError, LinkError, PeerError, RefusalError
from fedglmm_secure.securesum import PaillierTerms, Phase, labels, paillier
from fedglmm_secure.securesum.messages import Decryption, Opening
from fedglmm_secure.securesum.paillier import sums
from fedglmm_secure.securesum.paillier.sums import commitment

FIVE = ("alpha", "beta", "delta", "epsilon", "gamma")
PAILLIER = {"names": FIVE, "protocol": "paillier"}
EXCLUDE = PAILLIER | {"dropouts": 2, "on_dropout": "exclude"}


def with_part(relay, part):
    parts = {p.site: p for p in relay.parts} | {part.site: part}
    return replace(relay, parts=tuple(parts[site] for site in sorted(parts)))


def part_of(relay, site):
    return next(part for part in relay.parts if part.site == site)


def public_of(world):
    return paillier.PublicKey(world.terms.paillier.modulus)


def context_of(world):
    return world.sites["alpha"]._sum.view.context


def lying_commitment(world, signing_of, opening):
    """``beta`` commits to ``opening``, whatever it holds, in what is relayed to alpha."""
    relay = world.next_for("alpha")
    digest = commitment(context_of(world), opening)
    signature = signing_of("beta").sign(labels.COMMIT, context_of(world), "beta", digest)
    return with_part(relay, replace(part_of(relay, "beta"), digest=digest, signature=signature))


def opened_as(world, signing_of, ciphertexts):
    """A relay of openings in which beta holds ``ciphertexts``, to which it had committed."""
    honest = world.sites["beta"]._sum._protected._opening
    opening = replace(honest, ciphertexts=ciphertexts)
    world.coordinator.receive(world.hand("alpha", lying_commitment(world, signing_of, opening)))
    for name in FIVE[1:]:
        world.coordinator.receive(world.step(name))
    return with_part(world.next_for("alpha"), opening)


class TestCommitments:
    def test_a_commitment_signed_by_another_key(self, at, signing_of):
        world = at(Phase.COMMIT, **PAILLIER)
        relay = world.next_for("alpha")
        theirs = part_of(relay, "beta")
        forged = signing_of("gamma").sign(labels.COMMIT, context_of(world), "beta", theirs.digest)
        with pytest.raises(PeerError, match="signature of site 'beta' is not by the key"):
            world.hand("alpha", with_part(relay, replace(theirs, signature=forged)))

    def test_a_commitment_changed_after_signing(self, at):
        world = at(Phase.COMMIT, **PAILLIER)
        relay = world.next_for("alpha")
        with pytest.raises(PeerError, match="signature of site 'beta' is not by the key"):
            world.hand("alpha", with_part(relay, replace(part_of(relay, "beta"), digest=bytes(32))))

    @pytest.mark.parametrize("change", [{"question": b"another theta"}, {"length": 9}, {"number": 7}])
    def test_a_commitment_signed_for_another_context(self, at, signing_of, change):
        """A site that was asked another question, or under another theta, does not get into this product."""
        world = at(Phase.COMMIT, **PAILLIER)
        relay = world.next_for("alpha")
        view = world.sites["beta"]._sum.view
        other = view.session.context(replace(view.request, **change))
        theirs = part_of(relay, "beta")
        signature = signing_of("beta").sign(labels.COMMIT, other, "beta", theirs.digest)
        with pytest.raises(PeerError, match="signature of site 'beta' is not by the key"):
            world.hand("alpha", with_part(relay, replace(theirs, signature=signature)))

    def test_replay_of_another_sums_commitment(self, at):
        world = at(Phase.COMMIT, **PAILLIER)
        earlier = part_of(world.next_for("alpha"), "beta")
        world.drive(Phase.DECRYPT)
        world.coordinator.total()
        world.ask()
        world.drive(Phase.COMMIT)
        relay = world.next_for("alpha")
        with pytest.raises(PeerError, match="signature of site 'beta' is not by the key"):
            world.hand("alpha", with_part(relay, replace(earlier, number=2)))

    def test_nothing_but_the_commitment_leaves_before_all_commitments_are_here(self, at):
        world = at(Phase.COMMIT, **PAILLIER)
        sent = world.sites["alpha"]._sum.sent
        opening = world.sites["alpha"]._sum._protected._opening
        assert opening.ciphertexts not in vars(sent).values()
        assert opening.nonce not in vars(sent).values()

    def test_another_sites_commitment_copied(self, at, signing_of):
        """The name is in the digest: who copies a commitment cannot open it with the copied ciphertexts."""
        world = at(Phase.COMMIT, **PAILLIER)
        relay = world.next_for("alpha")
        digest = part_of(relay, "gamma").digest
        signature = signing_of("beta").sign(labels.COMMIT, context_of(world), "beta", digest)
        copied = replace(part_of(relay, "beta"), digest=digest, signature=signature)
        world.coordinator.receive(world.hand("alpha", with_part(relay, copied)))
        for name in FIVE[1:]:
            world.coordinator.receive(world.step(name))
        openings = world.next_for("alpha")
        with pytest.raises(PeerError, match="site 'beta' are not those that it committed to"):
            world.hand("alpha", with_part(openings, replace(part_of(openings, "gamma"), site="beta")))


class TestOpenings:
    def test_an_opening_that_does_not_match_its_commitment(self, at):
        world = at(Phase.OPEN, **PAILLIER)
        relay = world.next_for("alpha")
        theirs = part_of(relay, "beta")
        for change in ({"ciphertexts": part_of(relay, "gamma").ciphertexts}, {"nonce": bytes(32)}):
            with pytest.raises(PeerError, match="site 'beta' are not those that it committed to"):
                world.hand("alpha", with_part(relay, replace(theirs, **change)))

    def test_own_ciphertext_missing(self, at):
        world = at(Phase.OPEN, **EXCLUDE)
        relay = world.next_for("alpha")
        with pytest.raises(PeerError, match="left out or changed this site's own message"):
            world.hand("alpha", replace(relay, parts=relay.parts[1:]))

    def test_own_ciphertext_changed(self, at):
        world = at(Phase.OPEN, **PAILLIER)
        relay = world.next_for("alpha")
        mine = part_of(relay, "alpha")
        number = int.from_bytes(mine.ciphertexts, "big") * 3 % public_of(world).modulus ** 2
        other = replace(mine, ciphertexts=number.to_bytes(len(mine.ciphertexts), "big"))
        with pytest.raises(PeerError, match="left out or changed this site's own message"):
            world.hand("alpha", with_part(relay, other))

    def test_a_ciphertext_out_of_range(self, at, signing_of):
        world = at(Phase.COMMIT, **PAILLIER)
        modulus, size = public_of(world).modulus, public_of(world).ciphertext_bytes
        relay = opened_as(world, signing_of, (modulus**2).to_bytes(size, "big"))
        with pytest.raises(PeerError, match="a ciphertext of site 'beta' is not below the square"):
            world.hand("alpha", relay)

    def test_a_ciphertext_of_zero(self, at, signing_of):
        world = at(Phase.COMMIT, **PAILLIER)
        relay = opened_as(world, signing_of, bytes(public_of(world).ciphertext_bytes))
        with pytest.raises(PeerError, match="a ciphertext of site 'beta' is not below the square"):
            world.hand("alpha", relay)

    def test_a_ciphertext_that_is_not_coprime_to_the_modulus(self, at, signing_of):
        world = at(Phase.COMMIT, **PAILLIER)
        modulus, size = public_of(world).modulus, public_of(world).ciphertext_bytes
        relay = opened_as(world, signing_of, (3 * modulus).to_bytes(size, "big"))
        with pytest.raises(PeerError, match="a ciphertext of site 'beta' shares a factor"):
            world.hand("alpha", relay)

    @pytest.mark.parametrize("count", [0.5, 2])
    def test_another_number_of_ciphertexts(self, at, signing_of, count):
        world = at(Phase.COMMIT, **PAILLIER)
        size = public_of(world).ciphertext_bytes
        relay = opened_as(world, signing_of, b"\1" * int(count * size))
        with pytest.raises(PeerError, match=f"1 ciphertexts of site 'beta' take {size} bytes"):
            world.hand("alpha", relay)

    def test_the_product_of_one_site_only(self, at):
        """A single ciphertext is never decrypted, whatever the study says of dropouts."""
        for terms in (PAILLIER, EXCLUDE):
            world = at(Phase.OPEN, **terms)
            relay = world.next_for("alpha")
            with pytest.raises(RefusalError, match="a sum over 1 of"):
                world.hand("alpha", replace(relay, parts=(part_of(relay, "alpha"),)))

    def test_a_product_below_the_cohort(self, at):
        world = at(Phase.OPEN, **EXCLUDE)
        relay = world.next_for("alpha")
        with pytest.raises(RefusalError, match="over 2 of the roster's 5 sites; the study allows 2 dropouts"):
            world.hand("alpha", replace(relay, parts=relay.parts[:2]))

    def test_the_openings_of_sites_that_did_not_commit(self, at):
        world = at(Phase.OPEN, losses={Phase.COMMIT: ("gamma",)}, **EXCLUDE)
        relay = world.next_for("alpha")
        late = world.sites["gamma"]._sum._protected._opening
        assert isinstance(late, Opening)
        with pytest.raises(RefusalError, match="not all among those taking part"):
            world.hand("alpha", with_part(relay, late))

    def test_second_different_set_of_openings(self, at):
        """Two products of one sum, over different sites, would give a single site's numbers by division."""
        world = at(Phase.OPEN, **EXCLUDE)
        relay = world.next_for("alpha")
        sent = world.hand("alpha", relay)
        with pytest.raises(PeerError, match="a site takes them once"):
            world.hand("alpha", replace(relay, parts=relay.parts[:-1]))
        assert world.sites["alpha"].receive(relay).message is sent


class TestDecryption:
    def test_the_site_makes_the_product_itself(self, at):
        """No message of the coordinator holds a product: what is decrypted is that of the openings, and only that."""
        world = at(Phase.OPEN, **PAILLIER)
        relay, public = world.next_for("alpha"), public_of(world)
        sent = world.hand("alpha", relay)
        product = 1
        for part in relay.parts:
            product = product * int.from_bytes(part.ciphertexts, "big") % public.modulus**2
        share = world.sites["alpha"]._share
        assert sent.partials == pow(product, share.secret, public.modulus**2).to_bytes(public.ciphertext_bytes, "big")

    def test_every_answer_must_be_in_the_product_once(self, at):
        """An opening that stands for two sites is another site's: its name is in what it committed to."""
        world = at(Phase.OPEN, **PAILLIER)
        relay = world.next_for("alpha")
        with pytest.raises(PeerError, match="site 'gamma' are not those that it committed to"):
            world.hand("alpha", with_part(relay, replace(part_of(relay, "beta"), site="gamma")))

    def test_nothing_is_decrypted_without_the_openings(self, at):
        world = at(Phase.COMMIT, **PAILLIER)
        world.step("alpha")
        assert not any(isinstance(m, Decryption) for record in world.journals["alpha"] for m in record.made)

    def test_no_two_sums_share_a_blinder(self, new_world):
        world = new_world(**PAILLIER).open_all()
        for _ in range(3):
            world.whole_sum()
        openings = [
            message.ciphertexts
            for records in world.journals.values()
            for record in records
            for message in record.made[:1]
            if isinstance(message, Opening)
        ]
        assert len(set(openings)) == len(openings) == 15


class TestKey:
    @pytest.mark.parametrize("share", [None, "a share", paillier.KeyShare(2, 5)])
    def test_a_share_that_is_not_this_sites(self, at, new_site, share):
        offer = at(Phase.COMMIT, **PAILLIER).offer
        site = new_site("alpha", share=share, **PAILLIER)
        site.hello()
        with pytest.raises(InputError, match="site alpha has no share of the study's Paillier key"):
            site.open(offer)

    @pytest.mark.parametrize("threshold", [2, 6])
    def test_a_threshold_of_half_the_sites_or_more_than_all(self, new_world, threshold):
        with pytest.raises(InputError, match=f"needs {threshold} of 5 sites, which must be more than half"):
            new_world(paillier=PaillierTerms(15, threshold), **PAILLIER)

    @pytest.mark.parametrize("terms", [{"protocol": "paillier"}, {"paillier": PaillierTerms(15, 2)}])
    def test_a_key_without_the_protocol_or_the_protocol_without_a_key(self, new_world, terms):
        with pytest.raises(InputError, match="'paillier' needs the study's Paillier key, and no other protocol does"):
            new_world(**({"paillier": None} | terms))

    def test_sites_whose_studies_have_different_keys_open_no_session(self, at, new_site):
        """The modulus and the threshold are in the session id: what one site signs, another does not take."""
        world = at(Phase.COMMIT, **PAILLIER)
        modulus = world.terms.paillier.modulus
        for other in (PaillierTerms(modulus, 4), PaillierTerms(modulus + 2, 3)):
            site = new_site("alpha", paillier=other, **PAILLIER)
            site.hello()
            site.open(world.offer)
            assert site.session_id != world.coordinator.session_id


class TestLyingSite:
    """At the coordinator, so that it is known who lied."""

    def test_a_commitment_for_another_sum(self, new_world, signing_of):
        world = new_world(**PAILLIER).open_all()
        sent = world.hand("beta", world.ask())
        forged = replace(sent, signature=signing_of("beta").sign(labels.COMMIT, bytes(32), "beta", sent.digest))
        with pytest.raises(PeerError, match="signature of site 'beta' is not by the key"):
            world.coordinator.receive(forged)

    def test_an_opening_of_another_commitment(self, at):
        world = at(Phase.COMMIT, **PAILLIER)
        sent = world.step("beta")
        with pytest.raises(PeerError, match="site 'beta' are not those that it committed to"):
            world.coordinator.receive(replace(sent, nonce=bytes(32)))

    def test_an_opening_that_is_no_ciphertext(self, at, signing_of):
        world = at(Phase.COMMIT, **PAILLIER)
        honest = world.sites["beta"]._sum._protected._opening
        opening = replace(honest, ciphertexts=bytes(len(honest.ciphertexts)))
        digest = commitment(context_of(world), opening)
        kept = world.coordinator._sum._messages[Phase.COMMIT]
        kept["beta"] = replace(kept["beta"], digest=digest)
        with pytest.raises(PeerError, match="a ciphertext of site 'beta' is not below the square"):
            world.coordinator.receive(opening)

    @pytest.mark.parametrize("partials", [b"\1", bytes(128), b"\1" * 256])
    def test_partial_decryptions_that_are_none(self, at, partials):
        world = at(Phase.OPEN, **PAILLIER)
        sent = world.step("beta")
        with pytest.raises(PeerError, match="site 'beta'"):
            world.coordinator.receive(replace(sent, partials=partials))

    def test_a_wrong_partial_decryption(self, at):
        world = at(Phase.OPEN, **PAILLIER)
        for name in FIVE:
            sent = world.step(name)
            if name == "beta":
                wrong = int.from_bytes(sent.partials, "big") + 1
                sent = replace(sent, partials=wrong.to_bytes(len(sent.partials), "big"))
            world.coordinator.receive(sent)
        with pytest.raises(PeerError, match="the sum was not opened"):
            world.coordinator.total()

    def test_an_answer_under_another_question_is_in_no_sum(self, new_world):
        world = new_world(**PAILLIER).open_all()
        request = world.ask()
        with pytest.raises(PeerError, match="signature of site 'beta' is not by the key"):
            world.coordinator.receive(world.hand("beta", replace(request, question=b"another theta")))

    def test_a_message_of_another_protocol(self, at):
        from fedglmm_secure.securesum.messages import Contribution

        world = at(Phase.COMMIT, **PAILLIER)
        with pytest.raises(PeerError, match="another protocol"):
            world.coordinator.receive(Contribution(world.coordinator.session_id, 1, "beta", bytes(16)))


class TestPlaintext:
    """A site that encrypts what is no contribution: the structure of the decrypted sum shows it."""

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda plaintext: plaintext + (1 << 5 * 96), "bits above its slots"),
            (lambda plaintext: plaintext + (1 << 4 * 96), "the padding is not that of the contributions"),
            (lambda plaintext: plaintext + (1 << 1 * 96 + 90), "a number is outside the range"),
            (lambda plaintext: plaintext + (1 << 44), "it does not count 5 contributors"),
        ],
        ids=["above the slots", "padding", "range", "count"],
    )
    def test_a_plaintext_that_is_no_contribution(self, new_world, monkeypatch, change, sentence):
        world = new_world(**PAILLIER).open_all()
        request = world.ask()
        for name in FIVE:
            with monkeypatch.context() as patch:
                if name == "beta":
                    patch.setattr(sums, "pack", lambda encoded, bits: [change(m) for m in paillier.pack(encoded, bits)])
                world.coordinator.receive(world.hand(name, request))
        world.drive(Phase.DECRYPT)
        with pytest.raises(PeerError, match=f"the sum was not opened: .*{sentence}"):
            world.coordinator.total()


class TestLostSites:
    @pytest.mark.parametrize("phase", [Phase.COMMIT, Phase.OPEN])
    def test_a_lost_site_is_left_out_before_its_ciphertext_is_in(self, at, phase):
        world = at(Phase.DECRYPT, losses={phase: ("alpha", "gamma")}, **EXCLUDE)
        assert world.coordinator.cohort == ("beta", "delta", "epsilon")
        assert world.coordinator.total().tolist() == [4.5, -6.0]

    @pytest.mark.parametrize("terms", [PAILLIER, EXCLUDE], ids=["wait", "exclude"])
    def test_three_of_five_sites_decrypt(self, at, terms):
        world = at(Phase.DECRYPT, losses={Phase.DECRYPT: ("alpha", "gamma")}, **terms)
        assert world.coordinator.cohort == FIVE
        assert world.coordinator.total().tolist() == [7.5, -10.0]

    @pytest.mark.parametrize("terms", [PAILLIER, EXCLUDE], ids=["wait", "exclude"])
    def test_two_of_five_sites_do_not(self, new_world, terms):
        world = new_world(**terms).open_all()
        world.ask()
        with pytest.raises(LinkError, match="sum 1 cannot be opened without alpha, beta, gamma"):
            world.drive(Phase.DECRYPT, losses={Phase.DECRYPT: ("alpha", "beta", "gamma")})

    @pytest.mark.parametrize("phase", [Phase.COMMIT, Phase.OPEN])
    def test_waiting_stops_by_name_and_goes_on_when_the_site_is_back(self, new_world, phase):
        world = new_world(**PAILLIER).open_all()
        world.ask()
        with pytest.raises(LinkError, match="no word from gamma; start those sites again"):
            world.drive(phase, losses={phase: ("gamma",)})
        world.coordinator.receive(world.sites["gamma"]._sum.sent)
        world.drive(Phase.DECRYPT)
        assert world.coordinator.total().tolist() == [7.5, -10.0]

    def test_a_site_that_missed_the_decryption_is_in_the_next_sum(self, at):
        world = at(Phase.DECRYPT, losses={Phase.DECRYPT: ("gamma",)}, **PAILLIER)
        world.coordinator.total()
        assert world.whole_sum(b"the next question") == [7.5, -10.0]


def test_work_ahead_makes_the_blinders_that_the_next_sum_takes(new_world):
    world = new_world(**PAILLIER).open_all()
    world.whole_sum()
    side = world.sites["alpha"]._side
    assert len(side._blinders) == 0
    world.sites["alpha"].work_ahead()
    assert len(side._blinders) == 1
    assert world.whole_sum() == [7.5, -10.0]
    assert len(side._blinders) == 0


def test_no_secret_in_any_repr(at):
    world = at(Phase.DECRYPT, **PAILLIER)
    site = world.sites["alpha"]
    site.work_ahead()
    protected, side = site._sum._protected, site._side
    holders = [site, side, site._sum, protected, side._blinders, side._material, site._share, *world.journals["alpha"]]
    shown = " ".join(map(repr, holders))
    for secret in (site._share.secret, *side._blinders._ready):
        assert str(secret) not in shown
        assert f"{secret:x}" not in shown
    for secret in (site._seed.content, protected._opening.ciphertexts):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown
