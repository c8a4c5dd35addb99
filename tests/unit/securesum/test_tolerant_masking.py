"""Masking that survives lost sites: what must never happen, by a lying coordinator or a lying site, at a real site."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from fedglmm_secure import ring
from fedglmm_secure.errors import InputError, PeerError, RefusalError
from fedglmm_secure.securesum import Phase, Policy, Terms, labels
from fedglmm_secure.securesum.masking.keys import MaskKey
from fedglmm_secure.securesum.masking.masks import pair_mask, self_mask
from fedglmm_secure.securesum.masking.shamir import combine
from fedglmm_secure.securesum.masking.tolerant import commitment
from fedglmm_secure.securesum.messages import BATCH, SEALED_BYTES, Contribution
from tests.unit.securesum.tolerant import (
    DROPOUTS,
    EXCLUDE,
    FIVE,
    LOST,
    OTHERS,
    SEVEN,
    THRESHOLD,
    context_of,
    part_of,
    released,
    self_seed_of,
    with_part,
)


class TestKeys:
    def test_keys_signed_by_another_key(self, at, signing_of):
        world = at(Phase.ADVERTISE, **DROPOUTS)
        relay = world.next_for("alpha")
        theirs = part_of(relay, "beta")
        signature = signing_of("gamma").sign(
            labels.ADVERTISE, theirs.session_id, 1, "beta", theirs.wrap_keys, theirs.mask_keys
        )
        with pytest.raises(PeerError, match="signature of site 'beta' is not by the key"):
            world.hand("alpha", with_part(relay, replace(theirs, signature=signature)))

    @pytest.mark.parametrize("field", ["wrap_keys", "mask_keys"])
    def test_keys_changed_after_signing(self, at, draw, field):
        world = at(Phase.ADVERTISE, **DROPOUTS)
        relay = world.next_for("alpha")
        keys = getattr(part_of(relay, "beta"), field)
        changed = replace(part_of(relay, "beta"), **{field: (*keys[:-1], draw(32))})
        with pytest.raises(PeerError, match="signature of site 'beta' is not by the key"):
            world.hand("alpha", with_part(relay, changed))

    @pytest.mark.parametrize("of", ["a peer", "this site", "its own other sum", "its own wrap key"])
    def test_a_key_advertised_twice(self, at, signing_of, of):
        """Signed by a lying site, which the coordinator may collude with."""
        world = at(Phase.ADVERTISE, **DROPOUTS)
        relay = world.next_for("alpha")
        theirs = part_of(relay, "beta")
        copied = {
            "a peer": part_of(relay, "gamma").mask_keys[5],
            "this site": part_of(relay, "alpha").mask_keys[0],
            "its own other sum": theirs.mask_keys[1],
            "its own wrap key": theirs.wrap_keys[3],
        }[of]
        forged = advertised(signing_of("beta"), theirs, mask_keys=(copied, *theirs.mask_keys[1:]))
        with pytest.raises(PeerError, match="same key in a batch"):
            world.hand("alpha", with_part(relay, forged))

    def test_wrap_key_of_low_order(self, at, signing_of):
        world = at(Phase.ADVERTISE, **DROPOUTS)
        relay = world.next_for("alpha")
        theirs = part_of(relay, "beta")
        weak = advertised(signing_of("beta"), theirs, wrap_keys=(bytes(32), *theirs.wrap_keys[1:]))
        with pytest.raises(PeerError, match="'beta' is of low order"):
            world.hand("alpha", with_part(relay, weak))

    def test_mask_key_of_low_order(self, at, signing_of):
        world = at(Phase.ADVERTISE, **DROPOUTS)
        relay = world.next_for("alpha")
        theirs = part_of(relay, "beta")
        weak = advertised(signing_of("beta"), theirs, mask_keys=(bytes(32), *theirs.mask_keys[1:]))
        world.hand("alpha", with_part(relay, weak))
        for name in OTHERS:
            world.coordinator.receive(world.step(name))
        world.coordinator.receive(world.sites["alpha"]._sum.sent)
        with pytest.raises(PeerError, match="'beta' is of low order"):
            world.step("alpha")

    def test_every_sum_of_a_batch_has_keys_of_its_own(self, at):
        world = at(Phase.ADVERTISE, **DROPOUTS)
        parts = world.next_for("alpha").parts
        keys = [key for part in parts for key in (*part.wrap_keys, *part.mask_keys)]
        assert len(set(keys)) == len(keys) == 5 * 2 * BATCH

    def test_no_answer_before_the_keys(self, new_world):
        world = new_world(**DROPOUTS).open_all()
        world.hand("alpha", world.ask())
        with pytest.raises(PeerError, match="out of order in the state 'exchanging keys"):
            world.sites["alpha"].answer(np.zeros(2), ("first", "second"))

    def test_next_question_while_keys_are_exchanged(self, new_world):
        world = new_world(**DROPOUTS).open_all()
        request = world.ask()
        world.hand("alpha", request)
        with pytest.raises(PeerError, match="out of order in the state 'exchanging keys"):
            world.hand("alpha", replace(request, number=2))


def advertised(signing, message, **changes):
    """A batch as its own site would sign it."""
    changed = replace(message, **changes)
    fields = (changed.session_id, changed.number, changed.site, changed.wrap_keys, changed.mask_keys)
    return replace(changed, signature=signing.sign(labels.ADVERTISE, *fields))


class TestSealedShares:
    @pytest.mark.parametrize("place", [0, 32, 48])
    def test_a_sealed_share_tampered_with(self, at, place):
        world = at(Phase.CONTRIBUTE, **DROPOUTS)
        relay = world.next_for("alpha")
        theirs = part_of(relay, "beta")
        sealed = bytearray(theirs.sealed)
        sealed[place] ^= 1
        with pytest.raises(PeerError, match="changed on its way, or belongs to another sum"):
            world.hand("alpha", with_part(relay, replace(theirs, sealed=bytes(sealed))))

    def test_a_sealed_share_left_out(self, at):
        world = at(Phase.CONTRIBUTE, **DROPOUTS)
        relay = world.next_for("alpha")
        with pytest.raises(PeerError, match="changed on its way, or belongs to another sum"):
            world.hand("alpha", with_part(relay, replace(part_of(relay, "beta"), sealed=b"")))

    def test_two_peers_sealed_shares_swapped(self, at):
        world = at(Phase.CONTRIBUTE, **DROPOUTS)
        relay = world.next_for("alpha")
        swapped = replace(part_of(relay, "beta"), sealed=part_of(relay, "gamma").sealed)
        with pytest.raises(PeerError, match="changed on its way, or belongs to another sum"):
            world.hand("alpha", with_part(relay, swapped))

    def test_a_share_sealed_for_another_site(self, at):
        world = at(Phase.CONTRIBUTE, **DROPOUTS)
        relay, other = world.next_for("alpha"), world.next_for("gamma")
        with pytest.raises(PeerError, match="changed on its way, or belongs to another sum"):
            world.hand("alpha", with_part(relay, part_of(other, "beta")))

    def test_own_sealed_share_reflected(self, at):
        """What this site sealed for a peer is not what the peer sealed for it, under the same two keys."""
        world = at(Phase.CONTRIBUTE, **DROPOUTS)
        relay = world.next_for("alpha")
        reflected = world.sites["alpha"]._sum.sent.sealed[FIVE.index("beta")]
        with pytest.raises(PeerError, match="changed on its way, or belongs to another sum"):
            world.hand("alpha", with_part(relay, replace(part_of(relay, "beta"), sealed=reflected)))

    def test_a_sealed_share_of_another_sum(self, at):
        world = at(Phase.CONTRIBUTE, **DROPOUTS)
        earlier = part_of(world.next_for("alpha"), "beta")
        world.drive(Phase.UNMASK)
        world.coordinator.total()
        world.ask()
        world.drive(Phase.CONTRIBUTE)
        relay = world.next_for("alpha")
        with pytest.raises(PeerError, match="changed on its way, or belongs to another sum"):
            world.hand("alpha", with_part(relay, replace(part_of(relay, "beta"), sealed=earlier.sealed)))

    def test_a_sealed_share_of_another_question_under_the_same_number(self, at, new_world):
        """As a site would seal that was asked again after its folder was restored: another key, another share."""
        world, other = at(Phase.SHARE, **DROPOUTS), at(Phase.SHARE, **DROPOUTS)
        asked = replace(other.sites["beta"]._sum.view.request, question=b"another theta")
        beta = other.sites["beta"]._sum
        beta.view = replace(beta.view, request=asked)
        beta._protected._view = beta.view
        forged = other.step("beta")
        for name in FIVE:
            world.coordinator.receive(world.step(name))
        relay = world.next_for("alpha")
        place = FIVE.index("alpha")
        assert forged.sealed[place] != part_of(relay, "beta").sealed
        with pytest.raises(PeerError, match="changed on its way, or belongs to another sum"):
            world.hand("alpha", with_part(relay, replace(part_of(relay, "beta"), sealed=forged.sealed[place])))

    def test_a_mask_keys_share_in_place_of_a_self_masks(self, at):
        """One label each: what opens the masks of a lost site never passes for what opens a survivor's."""
        world = at(Phase.SHARE, **DROPOUTS)
        key_share = part_of(world.next_for("alpha"), "beta").sealed[:SEALED_BYTES]
        world.drive(Phase.CONTRIBUTE)
        relay = world.next_for("alpha")
        with pytest.raises(PeerError, match="changed on its way, or belongs to another sum"):
            world.hand("alpha", with_part(relay, replace(part_of(relay, "beta"), sealed=key_share)))

    @pytest.mark.parametrize("size", [0, SEALED_BYTES])
    def test_mask_key_shares_of_another_number_of_sums(self, at, size):
        world = at(Phase.SHARE, **DROPOUTS)
        relay = world.next_for("alpha")
        with pytest.raises(PeerError, match="'beta' sealed its shares for another batch"):
            world.hand("alpha", with_part(relay, replace(part_of(relay, "beta"), sealed=bytes(size))))

    def test_a_mask_key_share_tampered_with_is_never_released(self, at):
        world = at(Phase.SHARE, **EXCLUDE)
        relay = world.next_for("alpha")
        theirs = part_of(relay, "gamma")
        sealed = bytearray(theirs.sealed)
        sealed[0] ^= 1
        world.coordinator.receive(world.hand("alpha", with_part(relay, replace(theirs, sealed=bytes(sealed)))))
        for name in OTHERS[:-1]:
            world.coordinator.receive(world.step(name))
        world.coordinator.lose()
        world.drive(Phase.AGREE)
        with pytest.raises(PeerError, match="changed on its way, or belongs to another sum"):
            world.step("alpha")

    def test_mask_key_shares_of_two_sums_swapped_are_never_released(self, at):
        world = at(Phase.SHARE, **EXCLUDE)
        relay = world.next_for("alpha")
        theirs = part_of(relay, "gamma")
        first, second = theirs.sealed[:SEALED_BYTES], theirs.sealed[SEALED_BYTES : 2 * SEALED_BYTES]
        swapped = replace(theirs, sealed=second + first + theirs.sealed[2 * SEALED_BYTES :])
        world.coordinator.receive(world.hand("alpha", with_part(relay, swapped)))
        for name in OTHERS[:-1]:
            world.coordinator.receive(world.step(name))
        world.coordinator.lose()
        world.drive(Phase.AGREE)
        with pytest.raises(PeerError, match="changed on its way, or belongs to another sum"):
            world.step("alpha")


class TestSurvivors:
    def test_own_commitment_changed(self, at):
        world = at(Phase.CONTRIBUTE, **DROPOUTS)
        relay = world.next_for("alpha")
        with pytest.raises(PeerError, match="changed this site's own message"):
            world.hand("alpha", with_part(relay, replace(part_of(relay, "alpha"), commitment=bytes(32))))

    def test_a_commitment_left_out(self, at):
        world = at(Phase.CONTRIBUTE, **DROPOUTS)
        relay = world.next_for("alpha")
        with pytest.raises(PeerError, match="changed a commitment to a self-mask"):
            world.hand("alpha", with_part(relay, replace(part_of(relay, "beta"), commitment=b"")))

    def test_another_sites_commitment_changed(self, at):
        """One site is told another commitment than the others: their signatures do not fit together."""
        world = at(Phase.CONTRIBUTE, **DROPOUTS)
        relay = world.next_for("alpha")
        lied = replace(part_of(relay, "beta"), commitment=bytes(32))
        world.hand("alpha", with_part(relay, lied))
        agreement = world.sites["alpha"]._sum.sent
        with pytest.raises(PeerError, match="signature of site 'alpha' is not by the key"):
            world.coordinator.receive(agreement)
        others = {name: world.step(name) for name in OTHERS}
        told = replace(relay, phase=Phase.AGREE, parts=(agreement, *others.values()))
        with pytest.raises(PeerError, match="signature of site 'beta' is not by the key"):
            world.hand("alpha", told)

    def test_a_survivor_set_that_differs_from_what_others_were_told(self, at):
        """Without this, half of the sites would release a self-mask's shares, and half the mask key's: of one site."""
        names, told = {"names": SEVEN, "dropouts": 2, "on_dropout": "exclude"}, {}
        world = at(Phase.CONTRIBUTE, **names)
        for name in SEVEN:
            lost = "beta" if name in ("alpha", "delta", "epsilon") else "alpha"
            relay = world.next_for(name)
            if name != lost:
                told[name] = world.hand(name, replace(relay, parts=tuple(p for p in relay.parts if p.site != lost)))
        agreements = tuple(told[name] for name in sorted(told) if name not in ("alpha", "beta"))
        for name in ("delta", "gamma"):
            with pytest.raises(PeerError, match=r"told site '\w+' other survivors than this site"):
                world.hand(name, replace(world_relay(world, agreements), phase=Phase.AGREE))

    def test_an_agreement_signed_by_another_key(self, at, signing_of):
        world = at(Phase.AGREE, **DROPOUTS)
        relay = world.next_for("alpha")
        fields = world.sites["alpha"]._sum._protected._agreed()
        forged = replace(part_of(relay, "beta"), signature=signing_of("gamma").sign(labels.AGREE, *fields))
        with pytest.raises(PeerError, match="signature of site 'beta' is not by the key"):
            world.hand("alpha", with_part(relay, forged))

    def test_replay_of_another_sums_agreement(self, at):
        world = at(Phase.AGREE, **DROPOUTS)
        earlier = part_of(world.next_for("alpha"), "beta")
        world.drive(Phase.UNMASK)
        world.coordinator.total()
        world.ask()
        world.drive(Phase.AGREE)
        relay = world.next_for("alpha")
        with pytest.raises(PeerError, match="sent in another sum"):
            world.hand("alpha", with_part(relay, earlier))
        with pytest.raises(PeerError, match="signature of site 'beta' is not by the key"):
            world.hand("alpha", with_part(relay, replace(earlier, number=2)))

    def test_the_agreement_covers_who_masked(self, at):
        """Two relays of keys over different cohorts: the same survivors, but not the same masks."""
        world = at(Phase.AGREE, **DROPOUTS)
        protected = world.sites["alpha"]._sum._protected
        protected._members = protected._members[:-1]
        with pytest.raises(PeerError, match="signature of site 'alpha' is not by the key"):
            world.step("alpha")


def world_relay(world, parts):
    """A relay of the present sum with these parts."""
    relays = world.sites["delta"]._sum.relays
    return replace(relays[Phase.CONTRIBUTE], parts=parts)


class TestRelease:
    def test_a_survivors_self_mask_alone_is_released(self, at):
        """Rule 1: never both shares of one site. Of survivors the shares open the self-mask, and it is the one sent."""
        world = at(Phase.UNMASK, losses=LOST, **EXCLUDE)
        shares = released(world, *FIVE[:4])
        for name in FIVE[:4]:
            assert combine(shares[name], THRESHOLD) == self_seed_of(world, name)

    def test_a_lost_sites_mask_key_alone_is_released(self, at):
        world = at(Phase.UNMASK, losses=LOST, **EXCLUDE)
        shares = released(world, *FIVE[:4])
        own = world.sites["gamma"]._side._batch.mask_key(1)
        assert combine(shares["gamma"], THRESHOLD) == own.private_bytes
        assert combine(shares["gamma"], THRESHOLD) != self_seed_of(world, "gamma")

    def test_both_shares_of_one_site_for_the_same_sum(self, at):
        """Every way in which the coordinator can ask for the other share, after it got the first."""
        world = at(Phase.CONTRIBUTE, **EXCLUDE)
        whole = world.next_for("alpha")
        without_gamma = replace(whole, parts=whole.parts[:-1])
        world.hand("alpha", without_gamma)
        with pytest.raises(PeerError, match="a site takes them once"):
            world.hand("alpha", whole)
        others = {name: world.next_for(name) for name in OTHERS[:-1]}
        agreements = [world.sites["alpha"]._sum.sent]
        agreements += [world.hand(name, replace(r, parts=r.parts[:-1])) for name, r in others.items()]
        agreed = replace(whole, phase=Phase.AGREE, parts=tuple(agreements))
        sent = world.hand("alpha", agreed)
        assert len(sent.shares) == 5  # one a member, whatever happened to it
        for again in (whole, without_gamma, agreed, replace(agreed, parts=agreed.parts[:-1])):
            try:
                step = world.sites["alpha"].receive(again)
            except PeerError:
                continue
            assert step.message is sent

    def test_every_message_releases_one_share_a_member(self, at):
        world = at(Phase.UNMASK, **DROPOUTS)
        for name in FIVE:
            assert len(world.sites[name]._sum.sent.shares) == 5

    def test_nothing_is_released_before_all_agree(self, at):
        """No message of a site holds a share in the clear until it has seen a threshold of signatures."""
        world = at(Phase.AGREE, losses=LOST, **EXCLUDE)
        shares = set()
        for name in FIVE[:4]:
            protected = world.sites[name]._sum._protected
            shares |= {protected._release(member) for member in protected._members}
        sent = [message for name in FIVE for record in world.journals[name] for message in record.made]
        content = repr([vars(message) for message in sent])
        assert not any(repr(share)[2:-1] in content for share in shares)

    def test_vector_released_twice(self, at):
        world = at(Phase.CONTRIBUTE, **DROPOUTS)
        site = world.sites["alpha"]
        sent = site._sum.sent
        assert isinstance(sent, Contribution)
        with pytest.raises(PeerError, match="no question to answer"):
            site.answer(np.zeros(2), ("first", "second"))
        request = site._sum.view.request
        assert site.receive(request).message is sent
        with pytest.raises(PeerError, match="second, different question under sum 1"):
            site.receive(replace(request, question=b"another theta"))
        with pytest.raises(PeerError, match="no question to answer"):
            site.answer(np.zeros(2), ("first", "second"))

    def test_a_late_vector_of_a_lost_site_stays_hidden(self, at):
        """All shares that were released, and the late vector too, do not open it: its self-mask is still there."""
        world = at(Phase.SHARE, **EXCLUDE)
        late = world.step("gamma")
        for name in FIVE[:4]:
            world.coordinator.receive(world.step(name))
        world.coordinator.lose()
        world.drive(Phase.UNMASK)
        world.coordinator.receive(late)  # too late: it is not used
        assert world.coordinator.total().tolist() == [6.0, -8.0]
        shares = released(world, *FIVE[:4])
        context, session = context_of(world), world.coordinator.session_id
        key = MaskKey(combine(shares["gamma"], THRESHOLD))
        opened = ring.from_bytes(late.vector, 3)
        for peer in FIVE[:4]:  # every pairwise mask comes off, since the lost site's key is known now
            public = world.sites[peer]._side._batch.mask_key(1).public_bytes
            shared = pair_mask(key.shared_secret(peer, public), session, context, ("gamma", peer), 3)
            opened = ring.add(opened, shared) if peer < "gamma" else ring.subtract(opened, shared)
        true = ring.encode(np.array([1.0, 1.5, -2.0]), ("count", "first", "second"))
        mask = self_mask(self_seed_of(world, "gamma"), session, context, "gamma", 3)
        assert (opened == ring.add(true, mask)).all()  # what is left is exactly the self-mask
        assert (opened != true).any()
        everything = [shares[member] for member in FIVE]
        for subset in itertools.chain(everything, [dict(itertools.chain(*(s.items() for s in everything)))]):
            candidate = combine(subset, THRESHOLD)
            assert commitment(candidate, context, "gamma") != late.commitment
        sealed = [entry for entry in late.sealed if entry]  # its shares of that seed, which only the sites can open
        assert len(sealed) == 4
        for name in FIVE[:4]:
            parcel = part_of(world.sites[name]._sum.relays[Phase.CONTRIBUTE], "alpha")
            forged = replace(parcel, site="gamma", sealed=late.sealed[FIVE.index(name)], commitment=late.commitment)
            relay = world.sites[name]._sum.relays[Phase.CONTRIBUTE]
            with pytest.raises(PeerError, match="a site takes them once"):
                world.hand(name, with_part(relay, forged))

    def test_every_sum_has_a_self_mask_of_its_own(self, new_world):
        """The shares that open one sum's are released; they open no other's."""
        world, seeds = new_world(**DROPOUTS).open_all(), set()
        for _ in range(3):
            world.whole_sum()
            seeds.add(world.sites["alpha"]._sum._protected._own_seed())
            assert combine(released(world, *FIVE)["alpha"], THRESHOLD) in seeds
        assert len(seeds) == 3

    def test_shares_that_belong_to_no_secret(self):
        """The modulus is above every secret of 32 bytes, and what lies between is none."""
        share = (2**256).to_bytes(33, "big")
        with pytest.raises(PeerError, match="belong to no secret"):
            combine({1: share, 2: share}, 2)

    def test_shares_below_the_threshold_open_nothing(self, at):
        world = at(Phase.UNMASK, **DROPOUTS)
        shares = released(world, *FIVE)
        for names in itertools.combinations(range(1, 6), THRESHOLD - 1):
            with pytest.raises(PeerError, match="3 shares do not open a secret that takes 4"):
                combine({i: shares["beta"][i] for i in names}, THRESHOLD)
            assert combine({i: shares["beta"][i] for i in names}, THRESHOLD - 1) != self_seed_of(world, "beta")


class TestThreshold:
    @pytest.mark.parametrize(("sites", "threshold"), [(4, 3), (5, 4), (6, 5), (7, 5), (50, 34), (255, 171)])
    def test_each_site_computes_the_threshold_from_the_roster(self, sites, threshold):
        """Rule 5: floor(2 n / 3) + 1, which no message holds."""
        roster = tuple((f"s{i:03}", i.to_bytes(32, "big")) for i in range(sites))
        terms = Terms("masking", bytes(32), roster, minimum_sites=3, max_sums=1, dropouts=1)
        assert terms.threshold == threshold == 2 * sites // 3 + 1

    @pytest.mark.parametrize(("sites", "most"), [(3, 0), (4, 1), (5, 1), (6, 1), (7, 2), (50, 16)])
    def test_no_more_dropouts_than_leave_the_threshold(self, sites, most):
        roster = tuple((f"s{i:03}", i.to_bytes(32, "big")) for i in range(sites))
        for dropouts in range(1, most + 1):
            Terms("masking", bytes(32), roster, minimum_sites=3, max_sums=1, dropouts=dropouts)
        with pytest.raises(InputError, match=f"use at most {most}"):
            Terms("masking", bytes(32), roster, minimum_sites=3, max_sums=1, dropouts=most + 1)

    def test_a_policy_that_wants_more_sites_than_an_exclusion_leaves(self, new_site):
        """A site's own minimum holds for the smallest cohort that the study lets a sum have."""
        assert new_site(policy=Policy(minimum_sites=4), **EXCLUDE).name == "alpha"
        with pytest.raises(RefusalError, match=r"may go on over 4 sites, .* at least 5 are required"):
            new_site(policy=Policy(minimum_sites=5), **EXCLUDE)
        assert new_site(policy=Policy(minimum_sites=5), **DROPOUTS).name == "alpha"


def test_no_secret_in_any_repr(at, signing_of):
    world = at(Phase.UNMASK, losses=LOST, **EXCLUDE)
    site = world.sites["alpha"]
    batch, protected = site._side._batch, site._sum._protected
    secrets = [site._seed.content, self_seed_of(world, "alpha"), *protected._self_shares.values()]
    secrets += [batch.mask_key(1).private_bytes, batch._wrap_key(1).private_bytes, batch.mask_secret(1, "beta")]
    secrets += [message.vector for r in world.journals["alpha"] for message in r.made if hasattr(message, "vector")]
    holders = [site, site._side, site._sum, protected, batch, batch.mask_key(1), site._side._material]
    shown = " ".join(map(repr, [*holders, *world.journals["alpha"]]))
    for secret in secrets:
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown
