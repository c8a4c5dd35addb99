"""Masking that survives lost sites, at the coordinator: who lied is named, and what may be lost is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedglmm_secure.errors import LinkError, PeerError
from fedglmm_secure.securesum import Phase
from fedglmm_secure.securesum.messages import BATCH, Commitment, Unmasking
from tests.unit.securesum.tolerant import DROPOUTS, EXCLUDE, FIVE, LOST


class TestLyingSite:
    """At the coordinator, so that it is known who lied."""

    def test_masks_without_a_self_mask(self, at):
        world = at(Phase.SHARE, **DROPOUTS)
        sent = world.step("beta")
        with pytest.raises(PeerError, match="'beta' masks without a self-mask"):
            world.coordinator.receive(replace(sent, commitment=b"", sealed=()))

    def test_a_vector_of_another_length(self, at):
        world = at(Phase.SHARE, **DROPOUTS)
        sent = world.step("beta")
        with pytest.raises(PeerError, match="3 numbers"):
            world.coordinator.receive(replace(sent, vector=sent.vector[:-16]))

    @pytest.mark.parametrize("phase", [Phase.ADVERTISE, Phase.SHARE])
    def test_shares_sealed_for_others(self, at, phase):
        world = at(phase, **DROPOUTS)
        sent = world.step("beta")
        assert sent.phase in (Phase.SHARE, Phase.CONTRIBUTE)
        for sealed in (sent.sealed[:-1], (b"", *sent.sealed[1:]), (sent.sealed[0],) * 5):
            with pytest.raises(PeerError, match="'beta' sealed its shares for others"):
                world.coordinator.receive(replace(sent, sealed=sealed))

    def test_keys_not_signed_by_their_site(self, new_world):
        world = new_world(**DROPOUTS).open_all()
        sent = world.hand("beta", world.ask())
        with pytest.raises(PeerError, match="signature of site 'beta' is not by the key"):
            world.coordinator.receive(replace(sent, mask_keys=sent.wrap_keys))

    def test_agrees_to_other_survivors(self, at):
        world = at(Phase.CONTRIBUTE, **DROPOUTS)
        sent = world.step("beta")
        with pytest.raises(PeerError, match="'beta' agreed to other survivors"):
            world.coordinator.receive(replace(sent, survivors=FIVE[:4]))

    def test_agreement_not_signed_by_its_site(self, at):
        world = at(Phase.CONTRIBUTE, **DROPOUTS)
        sent = world.step("beta")
        with pytest.raises(PeerError, match="signature of site 'beta' is not by the key"):
            world.coordinator.receive(replace(sent, signature=bytes(64)))

    @pytest.mark.parametrize("number", [1, 4, 6])
    def test_wrong_number_of_shares(self, at, number):
        world = at(Phase.AGREE, **DROPOUTS)
        sent = world.step("beta")
        with pytest.raises(PeerError, match="'beta' released shares of other sites"):
            world.coordinator.receive(replace(sent, shares=(sent.shares[0],) * number))

    def test_a_wrong_share_of_a_self_mask(self, at):
        world = at(Phase.AGREE, **DROPOUTS)
        self.lie_about(world, "gamma")
        with pytest.raises(PeerError, match=r"'gamma'.* do not open its commitment|belong to no secret"):
            world.coordinator.total()

    def test_a_wrong_share_of_a_mask_key(self, at):
        world = at(Phase.AGREE, losses=LOST, **EXCLUDE)
        self.lie_about(world, "gamma")
        with pytest.raises(PeerError, match=r"'gamma'.* open another key|belong to no secret"):
            world.coordinator.total()

    @staticmethod
    def lie_about(world, member):
        place = FIVE.index(member)
        for name in world.coordinator.missing():
            sent = world.step(name)
            if name == "beta":
                shares = list(sent.shares)
                shares[place] = bytes(32) + bytes([shares[place][-1] ^ 1])
                sent = replace(sent, shares=tuple(shares))
            world.coordinator.receive(sent)

    def test_a_message_of_another_protocol(self, at):
        world = at(Phase.SHARE, **DROPOUTS)
        session = world.coordinator.session_id
        with pytest.raises(PeerError, match="another protocol"):
            world.coordinator.receive(Commitment(session, 1, "beta", bytes(32), bytes(64)))

    def test_a_message_of_another_phase(self, at):
        world = at(Phase.CONTRIBUTE, **DROPOUTS)
        early = Unmasking(world.coordinator.session_id, 1, "beta", (bytes(33),) * 5)
        with pytest.raises(PeerError, match="sent 'unmask' when sum 1 is at 'agree'"):
            world.coordinator.receive(early)


class TestLostSites:
    @pytest.mark.parametrize("phase", [Phase.ADVERTISE, Phase.SHARE, Phase.CONTRIBUTE])
    @pytest.mark.parametrize("lost", ["alpha", "gamma"])
    def test_a_lost_site_is_left_out_before_its_vector_is_in(self, at, phase, lost):
        world = at(Phase.UNMASK, losses={phase: (lost,)}, **EXCLUDE)
        assert world.coordinator.cohort == tuple(name for name in FIVE if name != lost)
        assert world.coordinator.total().tolist() == [6.0, -8.0]

    @pytest.mark.parametrize("terms", [DROPOUTS, EXCLUDE], ids=["wait", "exclude"])
    @pytest.mark.parametrize("phase", [Phase.AGREE, Phase.UNMASK])
    def test_a_site_lost_after_its_vector_is_in_the_sum(self, at, terms, phase):
        world = at(Phase.UNMASK, losses={phase: ("gamma",)}, **terms)
        assert world.coordinator.cohort == FIVE
        assert world.coordinator.total().tolist() == [7.5, -10.0]

    @pytest.mark.parametrize("phase", [Phase.AGREE, Phase.UNMASK])
    def test_the_sum_goes_on_over_all_when_the_lost_site_comes_back(self, at, phase):
        world = at(Phase.UNMASK, losses={phase: ("gamma",)}, **DROPOUTS)
        world.coordinator.total()
        assert world.whole_sum(b"the next question") == [7.5, -10.0]

    @pytest.mark.parametrize("phase", [Phase.ADVERTISE, Phase.SHARE, Phase.CONTRIBUTE])
    def test_waiting_stops_by_name_and_goes_on_when_the_site_is_back(self, at, new_world, phase):
        world = new_world(**DROPOUTS).open_all()
        world.ask()
        with pytest.raises(LinkError, match="no word from gamma; start those sites again"):
            world.drive(phase, losses={phase: ("gamma",)})
        world.coordinator.receive(world.sites["gamma"]._sum.sent)
        world.drive(Phase.UNMASK)
        assert world.coordinator.total().tolist() == [7.5, -10.0]

    @pytest.mark.parametrize("phase", [Phase.AGREE, Phase.UNMASK])
    def test_one_site_below_the_threshold_stops_by_name(self, new_world, phase):
        world = new_world(**DROPOUTS).open_all()
        world.ask()
        with pytest.raises(LinkError, match="sum 1 cannot be opened without beta, gamma"):
            world.drive(phase, losses={phase: ("beta", "gamma")})

    @pytest.mark.parametrize("phase", [Phase.ADVERTISE, Phase.SHARE, Phase.CONTRIBUTE])
    def test_more_lost_than_the_study_allows_stops_by_name(self, new_world, phase):
        world = new_world(**EXCLUDE).open_all()
        world.ask()
        with pytest.raises(LinkError, match="no word from beta, gamma, which are more than the study lets be lost"):
            world.drive(phase, losses={phase: ("beta", "gamma")})

    def test_a_site_that_was_left_out_hears_so(self, at):
        world = at(Phase.UNMASK, losses=LOST, **EXCLUDE)
        world.coordinator.total()
        world.ask(b"the next question")
        with pytest.raises(LinkError, match="sum 2 began without site gamma"):
            world.next_for("gamma")

    def test_lost_ones_of_several_batches(self, new_world):
        """Sum 17 begins with the keys of a second batch, over those who are left."""
        world = new_world(**EXCLUDE).open_all()
        world.ask()
        world.drive(Phase.UNMASK, losses=LOST)
        world.coordinator.total()
        for _ in range(BATCH + 1):
            assert world.whole_sum() == [6.0, -8.0]
