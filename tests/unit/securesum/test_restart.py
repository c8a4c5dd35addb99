"""A site that was killed at any moment goes on with the very same bytes, or says why it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedglmm_secure.errors import InputError, PeerError, RefusalError
from fedglmm_secure.securesum import JournalRecord, Phase, Seed
from fedglmm_secure.securesum.messages import BATCH
from fedglmm_secure.securesum.states import PHASES
from fedglmm_secure.wire.records import journal_line, read_journal

FIVE = ("alpha", "beta", "delta", "epsilon", "gamma")
PROTOCOLS = {
    "masking": {},
    "masking with dropouts": {"names": FIVE, "dropouts": 1},
    "excluding": {"names": FIVE, "dropouts": 1, "on_dropout": "exclude"},
    "paillier": {"protocol": "paillier"},
}
SUMS = {"masking": 3, "masking with dropouts": BATCH + 1, "excluding": 2, "paillier": 2}
ANSWER = (1.5, -2.0)


def lived(new_world, protocol):
    """A world after some sums, the last of which begins a second batch of keys where there are any."""
    world = new_world(**PROTOCOLS[protocol]).open_all()
    if protocol == "excluding":
        world.ask()
        world.drive(Phase.UNMASK, losses={Phase.CONTRIBUTE: ("gamma",)})
        world.coordinator.total()
    for number in range(SUMS[protocol]):
        world.whole_sum(b"question %d" % number)
    return world


def restarted(new_site, protocol, records, **changes):
    site = new_site("alpha", **(PROTOCOLS[protocol] | changes))
    return site, site.resume(records)


def same_again(site, record: JournalRecord):
    """What the site makes of a record's question or relay, as if for the first time."""
    step = site.receive(record.received)
    if step is None:
        step = site.answer(np.array(ANSWER), ("first", "second"))
    return step


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_killed_anywhere_it_sends_the_very_bytes_again(new_world, new_site, protocol):
    """For each moment of its life: what it sent last, then all that followed, except ciphertexts that never left."""
    records = lived(new_world, protocol).journals["alpha"]
    assert {record.made[0].phase for record in records[1:]} >= set(PHASES[protocol.replace("excluding", "masking")])
    for moment in range(1, len(records)):
        site, last = restarted(new_site, protocol, records[: moment + 1])
        assert last == records[moment].made[0]
        for record in records[moment + 1 :]:
            if record.made[0].phase is Phase.COMMIT:  # drawn at random: after this the two lives differ
                break
            step = same_again(site, record)
            assert step.message == record.made[0]
            assert step.record == record


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_journal_comes_back_from_its_file(new_world, new_site, protocol):
    records = lived(new_world, protocol).journals["alpha"]
    content = b"".join(map(journal_line, records))
    again = read_journal(content + b'{"phase": "torn', "journal.jsonl")
    assert list(again) == records
    site, last = restarted(new_site, protocol, again)
    assert last == records[-1].made[0]
    assert site.sums == max(record.made[0].number for record in records[1:])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_restarted_site_takes_part_to_the_end(new_world, new_site, protocol):
    """Killed in the middle of a sum and after it, at each phase."""
    for phase in PHASES[protocol.replace("excluding", "masking with dropouts")]:
        world = lived(new_world, protocol)
        world.ask(b"the next question")
        world.drive(phase)
        for _ in range(2):
            world.sites["alpha"], last = restarted(new_site, protocol, world.journals["alpha"])
            assert last == world.journals["alpha"][-1].made[0]
        if world.coordinator.missing():
            world.drive(PHASES[world.terms.scheme][-1])
        cohort = len(world.coordinator.cohort)
        assert world.coordinator.total().tolist() == [1.5 * cohort, -2.0 * cohort]
        assert world.whole_sum() == [1.5 * cohort, -2.0 * cohort]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_killed_while_it_computes_it_is_asked_again(new_world, new_site, protocol):
    """What it took and did not answer is not in its journal: the question comes again, and so does the answer."""
    world = lived(new_world, protocol)
    request = world.ask(b"the next question")
    assert world.sites["alpha"].receive(request) is None
    world.sites["alpha"], _last = restarted(new_site, protocol, world.journals["alpha"])
    assert world.sites["alpha"].sums == request.number - 1
    assert world.step("alpha").number == request.number


def test_killed_between_the_keys_and_the_answer_it_still_owes_it(at, new_site):
    world = at(Phase.SHARE, **PROTOCOLS["masking with dropouts"])
    assert world.sites["alpha"].receive(world.next_for("alpha")) is None
    site, last = restarted(new_site, "masking with dropouts", world.journals["alpha"])
    world.sites["alpha"] = site
    assert last.phase is Phase.SHARE
    assert site.sums == 0
    assert world.step("alpha").phase is Phase.CONTRIBUTE


@pytest.mark.parametrize("protocol", PROTOCOLS)
class TestJournal:
    def test_a_journal_of_another_seed(self, new_world, new_site, protocol):
        records = lived(new_world, protocol).journals["alpha"]
        site = new_site("alpha", seed="another", **PROTOCOLS[protocol])
        with pytest.raises(PeerError, match="own hello"):
            site.resume(records)

    def test_a_journal_of_another_site(self, new_world, new_site, protocol):
        records = lived(new_world, protocol).journals["beta"]
        with pytest.raises(PeerError):
            restarted(new_site, protocol, records)

    def test_a_journal_without_its_offer(self, new_world, new_site, protocol):
        records = lived(new_world, protocol).journals["alpha"]
        with pytest.raises(PeerError, match="belongs to another session"):
            restarted(new_site, protocol, records[1:])

    def test_a_journal_out_of_order(self, new_world, new_site, protocol):
        records = lived(new_world, protocol).journals["alpha"]
        for place in range(1, len(records) - 1):
            swapped = [*records[:place], records[place + 1], records[place], *records[place + 2 :]]
            with pytest.raises(PeerError):
                restarted(new_site, protocol, swapped)

    def test_a_journal_with_a_gap(self, new_world, new_site, protocol):
        """Only the last of a sum's phases may be missing: as if the others had opened the sum without this site."""
        records = lived(new_world, protocol).journals["alpha"]
        closing = PHASES[new_world(**PROTOCOLS[protocol]).terms.scheme][1:][-1:]
        needed = [i for i, record in enumerate(records[:-1]) if record.made and record.made[0].phase not in closing]
        assert len(needed) >= 2
        for place in needed:
            with pytest.raises(PeerError):
                restarted(new_site, protocol, [*records[:place], *records[place + 1 :]])

    def test_a_journal_whose_messages_are_of_another_phase_or_sum(self, new_world, new_site, protocol):
        records = lived(new_world, protocol).journals["alpha"]
        other = next(record for record in records[2:] if record.made[0] != records[1].made[0])
        wrong = replace(records[1], made=other.made)
        with pytest.raises(PeerError, match="does not follow the order of the protocol"):
            restarted(new_site, protocol, [records[0], wrong])

    def test_a_journal_of_two_sessions(self, new_world, new_site, protocol):
        records = lived(new_world, protocol).journals["alpha"]
        later = replace(records[0].received, coordinator_nonce=bytes(32))
        with pytest.raises(PeerError, match="out of order"):
            restarted(new_site, protocol, [*records, replace(records[0], received=later)])


@pytest.mark.parametrize("made", ["the commitment alone", "another opening"])
def test_a_journal_without_the_opening_of_its_commitment(at, new_site, made):
    """The ciphertexts cannot be drawn again: nothing else opens what the others have seen the commitment of."""
    world = at(Phase.COMMIT, **PROTOCOLS["paillier"])
    offer, record = world.journals["alpha"]
    commitment, opening = record.made
    changed = (commitment,) if made == "the commitment alone" else (commitment, replace(opening, nonce=bytes(32)))
    with pytest.raises(PeerError, match="holds another opening than this site committed to"):
        restarted(new_site, "paillier", [offer, replace(record, made=changed)])


class TestRestoredBackup:
    """An older journal with the same seed: refused where that can be seen."""

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_sum_numbers_that_skip(self, new_world, new_site, protocol):
        world = lived(new_world, protocol)
        request = world.ask(b"the next question")
        records = [r for r in world.journals["alpha"] if not r.made or r.made[0].number < request.number - 1]
        site, _last = restarted(new_site, protocol, records)
        with pytest.raises(PeerError, match=r"skips from sum .* restored from a backup"):
            site.receive(request)

    @pytest.mark.parametrize("protocol", PROTOCOLS)
    def test_sum_numbers_that_go_back(self, new_world, new_site, protocol):
        world = lived(new_world, protocol)
        earlier = next(r.received for r in world.journals["alpha"] if r.made)
        site, _last = restarted(new_site, protocol, world.journals["alpha"])
        with pytest.raises((PeerError, RefusalError), match=r"asks for sum 1 again after sum|a sum over 5 sites"):
            site.receive(earlier)

    def test_the_coordinator_notices_a_site_that_is_behind(self, new_world, new_site):
        world = lived(new_world, "masking")
        world.ask(b"the next question")
        records = [r for r in world.journals["alpha"] if not r.made or r.made[0].number < 3]
        world.sites["alpha"], _last = restarted(new_site, "masking", records)
        with pytest.raises(PeerError, match="is at sum 2 when the session is at sum 4; if its folder was restored"):
            world.next_for("alpha")

    def test_a_session_of_its_own_past_is_not_joined_again(self, new_world, new_site):
        """Its seed was restored and its journal kept: the offer would give the same masks to other questions."""
        world = lived(new_world, "masking")
        site = new_site("alpha", earlier_sessions=[world.coordinator.session_id])
        site.hello()
        with pytest.raises(PeerError, match="journal already holds"):
            site.open(world.offer)

    def test_the_same_session_goes_on_only_with_its_journal(self, new_world, new_site):
        world = lived(new_world, "masking")
        earlier = [world.coordinator.session_id, bytes(32)]
        site, last = restarted(new_site, "masking", world.journals["alpha"], earlier_sessions=earlier)
        assert last is not None
        assert site.session_id == earlier[0]
        other = new_site("alpha", earlier_sessions=earlier)
        with pytest.raises(PeerError, match="journal already holds"):
            other.resume(world.journals["alpha"][:1])

    @pytest.mark.parametrize("protocol", ["masking", "masking with dropouts"])
    def test_another_question_under_the_same_number_shares_no_mask(self, new_world, new_site, protocol):
        """Where it cannot be seen: the context is in every mask, so the two answers differ by nothing that cancels."""
        vectors = []
        for question in (b"one theta", b"another theta"):
            world = new_world(**PROTOCOLS[protocol]).open_all()
            world.ask(question)
            world.drive(Phase.CONTRIBUTE)
            sent = next(m for r in world.journals["alpha"] for m in r.made if m.phase is Phase.CONTRIBUTE)
            vectors.append(np.frombuffer(sent.vector, dtype="<u8").astype(object))
        assert all(low != 0 for low in vectors[0] - vectors[1])


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(33)])
def test_a_seed_of_another_size(content):
    with pytest.raises(InputError, match="a session seed has 32 bytes"):
        Seed(content)
