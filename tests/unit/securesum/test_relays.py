"""A coordinator that lies about what the sites sent: what a site refuses of a relay under every protocol of phases."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedglmm_secure.errors import PeerError, RefusalError
from fedglmm_secure.securesum import Phase, Relay, labels
from fedglmm_secure.securesum.messages import BATCH, SEALED_BYTES, Advertisement, Agreement, Commitment, Opening, Parcel

FIVE = ("alpha", "beta", "delta", "epsilon", "gamma")
DROPOUTS = {"names": FIVE, "dropouts": 1}
PAILLIER = {"names": FIVE, "protocol": "paillier"}
EXCLUDING = {
    "masking": DROPOUTS | {"on_dropout": "exclude"},
    "paillier": PAILLIER | {"dropouts": 2, "on_dropout": "exclude"},
}
BEFORE_VECTORS = [
    (DROPOUTS, Phase.ADVERTISE),
    (DROPOUTS, Phase.SHARE),
    (DROPOUTS, Phase.CONTRIBUTE),
    (PAILLIER, Phase.COMMIT),
    (PAILLIER, Phase.OPEN),
]
RELAYED = [*BEFORE_VECTORS, (DROPOUTS, Phase.AGREE)]
each_relay = pytest.mark.parametrize(("terms", "phase"), RELAYED, ids=lambda value: getattr(value, "value", ""))


def without(relay: Relay, *sites: str) -> Relay:
    return replace(relay, parts=tuple(part for part in relay.parts if part.site not in sites))


def with_part(relay: Relay, part: object) -> Relay:
    """The relay with a part in place of its site's own, or added."""
    parts = {p.site: p for p in relay.parts} | {part.site: part}
    return replace(relay, parts=tuple(parts[site] for site in sorted(parts)))


def part_of(relay: Relay, site: str) -> object:
    return next(part for part in relay.parts if part.site == site)


def changed(part: object) -> object:
    """The part of a site as nobody sent it."""
    match part:
        case Parcel(commitment=b""):
            return replace(part, sealed=bytes(BATCH * SEALED_BYTES))
        case Parcel():
            return replace(part, commitment=bytes(32))
        case Opening():
            return replace(part, nonce=bytes(32))
        case _:
            return replace(part, signature=bytes(64))


@each_relay
class TestOwnMessage:
    def test_own_message_left_out(self, at, terms, phase):
        world = at(phase, **terms)
        with pytest.raises(PeerError, match="left out or changed this site's own message"):
            world.hand("alpha", without(world.next_for("alpha"), "alpha"))

    def test_own_message_changed(self, at, terms, phase):
        world = at(phase, **terms)
        relay = world.next_for("alpha")
        with pytest.raises(PeerError, match="left out or changed this site's own message"):
            world.hand("alpha", with_part(relay, changed(part_of(relay, "alpha"))))

    def test_own_message_under_another_name(self, at, terms, phase):
        world = at(phase, **terms)
        relay = world.next_for("alpha")
        mine = replace(part_of(relay, "alpha"), site="beta")
        with pytest.raises(PeerError, match="left out or changed this site's own message"):
            world.hand("alpha", with_part(without(relay, "alpha"), mine))


@each_relay
class TestOrder:
    def test_second_different_relay(self, at, terms, phase):
        world = at(phase, **terms)
        relay = world.next_for("alpha")
        world.hand("alpha", relay)
        for other in (without(relay, "gamma"), with_part(relay, changed(part_of(relay, "beta")))):
            with pytest.raises(PeerError, match="relays other messages of sum 1 than before; a site takes them once"):
                world.hand("alpha", other)

    def test_the_same_relay_again_gives_the_very_bytes(self, at, terms, phase):
        world = at(phase, **terms)
        relay = world.next_for("alpha")
        sent = world.hand("alpha", relay)
        again = world.sites["alpha"].receive(relay)
        assert again.message is sent
        assert again.record is None  # it stands in the journal

    def test_relay_of_another_phase(self, at, terms, phase):
        world = at(phase, **terms)
        relay = world.next_for("alpha")
        for other in set(Phase) - {phase}:
            with pytest.raises(PeerError, match=r"when this site is at|than before; a site takes them once"):
                world.hand("alpha", replace(relay, phase=other))
        assert world.hand("alpha", relay).site == "alpha"

    @pytest.mark.parametrize("number", [2, 17])
    def test_relay_of_another_sum(self, at, terms, phase, number):
        world = at(phase, **terms)
        with pytest.raises(PeerError, match=f"of sum {number}, which is not the present one"):
            world.hand("alpha", replace(world.next_for("alpha"), number=number))

    def test_relay_of_another_session(self, at, terms, phase):
        world = at(phase, **terms)
        with pytest.raises(PeerError, match="belongs to another session"):
            world.hand("alpha", replace(world.next_for("alpha"), session_id=bytes(32)))

    def test_relay_before_the_question(self, at, new_world, terms, phase):
        relay = at(phase, **terms).next_for("alpha")
        with pytest.raises(PeerError, match="of sum 1, which is not the present one"):
            new_world(**terms).open_all().hand("alpha", relay)

    def test_a_refused_relay_changes_nothing(self, at, terms, phase):
        world = at(phase, **terms)
        relay, before = world.next_for("alpha"), world.sites["alpha"].last
        with pytest.raises(PeerError):
            world.hand("alpha", without(relay, "alpha"))
        with pytest.raises((PeerError, RefusalError)):
            world.hand("alpha", without(relay, "beta", "gamma"))
        assert world.sites["alpha"].last == before
        assert world.hand("alpha", relay).site == "alpha"


@pytest.mark.parametrize(("terms", "phase"), RELAYED[1:], ids=lambda value: getattr(value, "value", ""))
def test_relay_before_this_sites_own_message(at, new_world, terms, phase):
    """A site shows nothing of its own after it has seen what the others sent. (A question alone brings the keys.)"""
    relay = at(phase, **terms).next_for("alpha")
    world = new_world(**terms).open_all()
    world.sites["alpha"].receive(world.ask())
    with pytest.raises(PeerError, match="when this site is at"):
        world.hand("alpha", relay)


def test_relay_where_nothing_is_relayed(opened):
    """Masking without dropouts has one message a sum; there is nothing to tell afterwards."""
    opened.answer_of("alpha", opened.ask())
    session = opened.coordinator.session_id
    for phase in Phase:
        with pytest.raises(PeerError, match="when this site is at 'contribute' of sum 1"):
            opened.sites["alpha"].receive(Relay(session, 1, phase, (Parcel("alpha", b""),)))


@pytest.mark.parametrize(("terms", "last"), [(DROPOUTS, Phase.UNMASK), (PAILLIER, Phase.DECRYPT)], ids=["m", "p"])
def test_relay_of_the_last_messages_of_a_sum(at, terms, last):
    """Shares and partial decryptions are for the coordinator alone."""
    world = at(last, **terms)
    with pytest.raises(PeerError, match="when this site is at"):
        world.hand("alpha", Relay(world.coordinator.session_id, 1, last, (Parcel("alpha", b""),)))


@each_relay
class TestOtherMessages:
    def test_a_part_of_another_kind(self, at, terms, phase):
        world = at(phase, **terms)
        relay = world.next_for("alpha")
        session, number = relay.session_id, relay.number
        kind = type(part_of(relay, "beta"))
        other = next(
            part
            for part in (
                Parcel("beta", b""),
                Commitment(session, number, "beta", bytes(32), bytes(64)),
            )
            if not isinstance(part, kind)
        )
        with pytest.raises(PeerError, match=f"relays something else than {kind.__name__}"):
            world.hand("alpha", with_part(relay, other))

    def test_a_stranger(self, at, terms, phase):
        world = at(phase, **terms)
        relay = world.next_for("alpha")
        stranger = replace(part_of(relay, "beta"), site="zeta")
        with pytest.raises((PeerError, RefusalError), match=r"not all among those taking part|the word of 6 sites"):
            world.hand("alpha", with_part(relay, stranger))


@pytest.mark.parametrize(("terms", "phase"), BEFORE_VECTORS, ids=lambda value: getattr(value, "value", ""))
class TestCohort:
    def test_a_smaller_cohort_where_the_study_waits(self, at, terms, phase):
        world = at(phase, **terms)
        with pytest.raises(RefusalError, match=r"over 4 of 5 sites; .* does not say on_dropout = 'exclude'"):
            world.hand("alpha", without(world.next_for("alpha"), "gamma"))

    def test_exclusion_beyond_the_dropouts_of_the_study(self, at, terms, phase):
        excluding = EXCLUDING[terms.get("protocol", "masking")]
        world = at(phase, **excluding)
        lost = ("beta", "gamma", "epsilon")[: excluding["dropouts"] + 1]
        sentence = f"over {5 - len(lost)} of the roster's 5 sites; the study allows {excluding['dropouts']} dropouts"
        with pytest.raises(RefusalError, match=sentence):
            world.hand("alpha", without(world.next_for("alpha"), *lost))

    def test_exclusion_up_to_the_dropouts_of_the_study(self, at, terms, phase):
        excluding = EXCLUDING[terms.get("protocol", "masking")]
        world = at(phase, **excluding)
        lost = ("beta", "gamma")[: excluding["dropouts"]]
        assert world.hand("alpha", without(world.next_for("alpha"), *lost)).site == "alpha"


@pytest.mark.parametrize(
    ("protocol", "phase", "later"),
    [
        ("masking", Phase.ADVERTISE, Phase.SHARE),
        ("masking", Phase.SHARE, Phase.CONTRIBUTE),
        ("paillier", Phase.COMMIT, Phase.OPEN),
    ],
)
def test_a_cohort_that_grows_again_within_a_sum(at, protocol, phase, later):
    world = at(later, losses={phase: ("gamma",)}, **EXCLUDING[protocol])
    honest = world.next_for("alpha")
    with pytest.raises(RefusalError, match="not all among those taking part"):
        world.hand("alpha", with_part(honest, replace(part_of(honest, "beta"), site="gamma")))


@pytest.mark.parametrize(
    ("terms", "phase"),
    [(DROPOUTS, Phase.ADVERTISE), (PAILLIER, Phase.COMMIT), (PAILLIER, Phase.OPEN), (DROPOUTS, Phase.AGREE)],
    ids=lambda value: getattr(value, "value", ""),
)
@pytest.mark.parametrize("change", [{"number": 17}, {"session_id": bytes(32)}], ids=str)
def test_a_message_of_another_sum_or_session(at, terms, phase, change):
    """Parcels say nothing of their sum: what is sealed in them does."""
    world = at(phase, **terms)
    relay = world.next_for("alpha")
    with pytest.raises(PeerError, match="relays what site 'beta' sent in another sum"):
        world.hand("alpha", with_part(relay, replace(part_of(relay, "beta"), **change)))


class TestLaterSums:
    """Between two sums: who may be in the next one."""

    @pytest.mark.parametrize("terms", [DROPOUTS, PAILLIER], ids=["masking", "paillier"])
    def test_a_smaller_cohort_in_the_next_question_where_the_study_waits(self, new_world, terms):
        world = new_world(**terms).open_all()
        world.whole_sum()
        request = world.ask(b"the next question")
        with pytest.raises(RefusalError, match="does not say on_dropout = 'exclude'"):
            world.hand("alpha", replace(request, participants=FIVE[:4]))

    @pytest.mark.parametrize("protocol", EXCLUDING)
    def test_a_cohort_that_grows_again_in_the_next_question(self, at, protocol):
        first = Phase.CONTRIBUTE if protocol == "masking" else Phase.COMMIT
        last = Phase.UNMASK if protocol == "masking" else Phase.DECRYPT
        world = at(last, losses={first: ("gamma",)}, **EXCLUDING[protocol])
        world.coordinator.total()
        request = world.ask(b"the next question")
        assert request.participants == FIVE[:4]
        with pytest.raises(RefusalError, match="not all among those taking part"):
            world.hand("alpha", replace(request, participants=FIVE))

    @pytest.mark.parametrize("protocol", EXCLUDING)
    def test_a_question_without_this_site_in_it(self, new_world, protocol):
        """Its masks would be in no sum, and its answer in none."""
        world = new_world(**EXCLUDING[protocol]).open_all()
        request = world.ask()
        with pytest.raises(RefusalError, match="not all among those taking part"):
            world.hand("alpha", replace(request, participants=FIVE[1:]))

    @pytest.mark.parametrize("protocol", EXCLUDING)
    def test_sites_lost_one_by_one_are_counted_together(self, at, protocol):
        """Two sums, each one site smaller, lose two sites of the roster."""
        terms = EXCLUDING[protocol] | {"dropouts": 1}
        first = Phase.CONTRIBUTE if protocol == "masking" else Phase.COMMIT
        last = Phase.UNMASK if protocol == "masking" else Phase.DECRYPT
        world = at(last, losses={first: ("gamma",)}, **terms)
        world.coordinator.total()
        request = world.ask(b"the next question")
        with pytest.raises(RefusalError, match="over 3 of the roster's 5 sites; the study allows 1 dropouts"):
            world.hand("alpha", replace(request, participants=FIVE[:3]))

    @pytest.mark.parametrize("protocol", EXCLUDING)
    def test_after_an_exclusion_the_next_question_starts_over(self, at, protocol):
        """Only a description may be asked of the smaller cohort first (``guard.check_question``)."""
        first = Phase.CONTRIBUTE if protocol == "masking" else Phase.COMMIT
        last = Phase.UNMASK if protocol == "masking" else Phase.DECRYPT
        world = at(last, losses={first: ("gamma",)}, **EXCLUDING[protocol])
        world.coordinator.total()
        left = [name for name in FIVE if name != "gamma"]
        for question, starts_over in ((b"second", True), (b"third", False)):
            request = world.ask(question)
            assert [world.sites[name].check(request) for name in left] == [starts_over] * 4
            world.drive(last)
            assert [world.sites[name].check(request) for name in left] == [starts_over] * 4
            world.coordinator.total()

    def test_a_whole_cohort_starts_over_only_once(self, new_world):
        world = new_world(**DROPOUTS).open_all()
        seen = []
        for _ in range(3):
            request = world.ask()
            seen.append(world.sites["alpha"].check(request))
            world.drive(Phase.UNMASK)
            world.coordinator.total()
        assert seen == [True, False, False]


class TestTooFew:
    def test_too_few_agreements(self, at):
        world = at(Phase.AGREE, **DROPOUTS)
        with pytest.raises(PeerError, match="relays the word of 3 sites, and 4 of those in the sum are needed"):
            world.hand("alpha", without(world.next_for("alpha"), "beta", "gamma"))

    def test_just_enough_agreements(self, at):
        world = at(Phase.AGREE, **DROPOUTS)
        assert world.hand("alpha", without(world.next_for("alpha"), "gamma")).phase is Phase.UNMASK

    def test_the_agreement_of_a_site_that_was_lost(self, at, signing_of):
        """It does not count, though it signs the very same."""
        world = at(Phase.AGREE, losses={Phase.CONTRIBUTE: ("gamma",)}, **EXCLUDING["masking"])
        relay = world.next_for("alpha")
        fields = world.sites["alpha"]._sum._protected._agreed()
        survivors = part_of(relay, "beta").survivors
        signature = signing_of("gamma").sign(labels.AGREE, *fields)
        lost = Agreement(relay.session_id, relay.number, "gamma", survivors, signature)
        with pytest.raises(PeerError, match="the word of 4 sites, and 4 of those in the sum are needed"):
            world.hand("alpha", with_part(without(relay, "beta"), lost))


def test_keys_of_another_session_are_refused(at, new_site):
    """Signed by the right key, for sums that are over: the coordinator may know what they opened."""
    old = at(Phase.ADVERTISE, names=FIVE, dropouts=1, study_digest=bytes(32))
    world = at(Phase.ADVERTISE, **DROPOUTS)
    theirs = part_of(old.next_for("alpha"), "beta")
    assert isinstance(theirs, Advertisement)
    with pytest.raises(PeerError, match="relays what site 'beta' sent in another sum"):
        world.hand("alpha", with_part(world.next_for("alpha"), theirs))


def test_keys_of_an_earlier_batch_are_refused(new_world):
    """In sum 17 each site has fresh keys; those of sum 1 were known when a site was lost in it."""
    world = new_world(**DROPOUTS).open_all()
    world.ask()
    world.drive(Phase.ADVERTISE)
    earlier = part_of(world.next_for("alpha"), "beta")
    world.drive(Phase.UNMASK)
    world.coordinator.total()
    for _ in range(BATCH - 1):
        world.whole_sum()
    world.ask()
    world.drive(Phase.ADVERTISE)
    relay = world.next_for("alpha")
    assert relay.number == BATCH + 1
    with pytest.raises(PeerError, match="relays what site 'beta' sent in another sum"):
        world.hand("alpha", with_part(relay, earlier))
