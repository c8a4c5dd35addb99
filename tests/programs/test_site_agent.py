"""The site's exchange loop without a network: what is written, what is sent, and in which order."""

from __future__ import annotations

import base64
import secrets
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedglmm_secure.errors import (
    FedglmmError,
    FitError,
    InputError,
    LinkError,
    OwnRowsError,
    PeerError,
    QuantityError,
    RefusalError,
    TableError,
)
from fedglmm_secure.exchange import Party
from fedglmm_secure.model import questions
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.questions import ALL, TRAINING, Describe, MarginalDerivatives
from fedglmm_secure.securesum import Coordinator, Hello, Phase, Policy, Seed, Site, SumRequest
from fedglmm_secure.study.site_rows import SiteRows
from fedglmm_secure.wire import identity
from fedglmm_secure.wire.codec import encode_site
from fedglmm_secure.wire.messages import Finished, Next, Ready, Refusal, Stopped, Wait
from fedglmm_secure.wire.terms import terms_of
from fedglmm_site.agent import Agent
from fedglmm_site.journal import Journal, SeedFile
from fedglmm_site.outward import outward
from fedglmm_site.participation import Participation
from tests.programs.conftest import SITES, draft_study

ME = "1_UM"
STUDY = b"\x01" * 32


def new_site(study, own) -> Site:
    seed = Seed(secrets.token_bytes(32))
    return Site(terms_of(study), own.signing, Policy(), seed, randomness=secrets.token_bytes)


class Script:
    """A coordinator that answers what the test says, and the log of what happened in which order."""

    def __init__(self, study, identities) -> None:
        self.study, self.events, self.replies = study, [], []
        self.coordinator = Coordinator(terms_of(study))
        self.others = [new_site(study, own) for name, own in identities.items() if name != ME]

    def send(self, message):
        self.events.append(("sent", message))
        reply = self.replies.pop(0)
        return reply() if callable(reply) else reply

    def send_last(self, message, seconds):
        self.events.append(("sent", message))

    def append(self, record):
        self.events += [("on disk", message) for message in record.made]

    def first(self):
        for site in (*self.others, self.site):
            self.coordinator.receive_hello(site.hello())
        offer, question = self.coordinator.offer(secrets.token_bytes), Describe()
        numbers = len(question.slots(self.study.layout))
        self.coordinator_request = self.coordinator.begin(questions.encode(question), numbers)
        return Next(offer, self.coordinator_request, question)


@pytest.fixture(scope="module")
def design(draft, table):
    return draft.design(table, ME, "table.csv")


@pytest.fixture(scope="module")
def table(data_folder):
    table = pd.read_csv(data_folder / "indo_rct.csv")
    return table[table["site"] == ME]


@pytest.fixture
def script(draft):
    identities = {site.name: identity.generate() for site in draft.sites}
    study = draft.replaced(identities={name: (own.public_key, own.certificate) for name, own in identities.items()})
    made = Script(study, identities)
    made.site = new_site(study, identities[ME])
    return made


@pytest.fixture
def agent(script, design):
    rows = SiteRows(script.study, design, ME)

    def keep(record):
        script.append(record)  # looked up when called: a test replaces it

    party = Party(script.study, rows, script.site, keep)
    return Agent(ME, party, script, lambda finished: script.events.append(("kept", finished)))


def test_a_contribution_is_on_disk_before_it_is_sent(script, agent):
    script.replies = [script.first, Finished("{}")]
    assert agent.run() == Finished("{}")
    hello, written, sent, *_ = script.events
    assert hello[0] == "sent"
    assert (written[0], sent[0]) == ("on disk", "sent")
    assert written[1] is sent[1]


def test_the_coordinator_hears_that_the_result_arrived_once_it_is_kept(script, agent):
    script.replies = [script.first, Finished("{}")]
    agent.run()
    last_word = Ready(ME, script.site.session_id, 1)
    assert script.events[-2:] == [("kept", Finished("{}")), ("sent", last_word)]


def test_a_site_that_only_collects_the_result_says_that_it_arrived(script, agent):
    """It was killed before it had the result, and has another seed and no session now."""
    script.replies = [Finished("{}")]
    assert agent.run() == Finished("{}")
    assert script.events[-2:] == [("kept", Finished("{}")), ("sent", Ready(ME, bytes(32), 0))]


def test_nothing_is_sent_when_the_journal_cannot_be_written(script, agent, monkeypatch):
    """Not even a refusal, which would end the fit for everybody: with room on the disk, the site goes on."""

    def full(record):
        raise OSError("no space left on device")

    monkeypatch.setattr(script, "append", full)
    script.replies = [script.first]
    with pytest.raises(OSError, match="no space"):
        agent.run()
    assert [type(message).__name__ for _, message in script.events] == ["Hello"]


def test_a_question_asked_twice_is_answered_with_the_same_bytes(script, agent):
    asked = []

    def first():
        asked.append(script.first())
        return asked[0]

    script.replies = [first, lambda: asked[0], Finished("{}")]
    agent.run()
    contributions = [message for what, message in script.events if what == "sent"][1:-1]
    assert contributions[0] is contributions[1]
    assert [what for what, _ in script.events].count("on disk") == 1


def test_polls_with_hello_before_the_session_and_ready_within(script, agent):
    script.replies = [Wait(), script.first, Wait(), Finished("{}")]
    agent.run()
    sent = [message for what, message in script.events if what == "sent"]
    assert sent[0] is sent[1]
    assert sent[3] == Ready(ME, script.site.session_id, 1, Phase.CONTRIBUTE)


def test_the_coordinators_stop_is_the_sites_end(script, agent):
    script.replies = [Stopped(FitError("separation"))]
    with pytest.raises(FitError, match="separation"):
        agent.run()
    assert len(script.events) == 1


def test_a_question_outside_the_study_is_refused_and_told(script, agent, draft):
    nodes = draft.model.nodes + 1
    outside = MarginalDerivatives((0.0,) * 6, nodes, tuple(range(5)), (1.0,))

    def second():
        first = script.coordinator_request
        return Next(None, replace(first, number=2, question=questions.encode(outside)), outside)

    script.replies = [script.first, second]
    with pytest.raises(PeerError, match=f"{nodes} quadrature nodes"):
        agent.run()
    last = script.events[-1][1]
    assert isinstance(last, Refusal)
    assert last.site == ME
    assert [what for what, _ in script.events].count("on disk") == 1


class Dialogue:
    """A coordinator that asks a site of a divided study what the test says, in one session a call of ``join``."""

    def __init__(self, design_of) -> None:
        identities = {name: identity.generate() for name in SITES}
        study = draft_study(model__penalty=[0.0, 1.0], model__selection="validation")
        self.study = study.replaced(
            identities={name: (own.public_key, own.certificate) for name, own in identities.items()}
        )
        self.design, self.identities, self.sent, self.table = design_of(self.study), identities, [], b"the table"

    def join(self, folder, *asked):
        """One run of the program, which is asked in turn, and then loses the line."""
        self.left, self.coordinator = list(asked), Coordinator(terms_of(self.study))
        signing = self.identities[ME].signing
        rows = SiteRows(self.study, self.design, ME)
        participation = Participation(
            self.study, self.study, rows, signing, Policy(), secrets.token_bytes, None, self.table
        )
        participation.take_part(folder, self, lambda finished, sums: None, lambda line: None)

    def send(self, message):
        self.sent.append(message)
        if not self.left:
            raise LinkError("gone")
        question, offer = self.left.pop(0), None
        if isinstance(message, Hello):
            for hello in (message, *(new_site(self.study, own).hello() for own in self.others)):
                self.coordinator.receive_hello(hello)
            offer = self.coordinator.offer(secrets.token_bytes)
        number = 1 if offer else message.number + 1
        numbers = len(question.slots(self.study.layout))
        session = self.coordinator.session_id
        return Next(offer, SumRequest(session, number, SITES, questions.encode(question), numbers + 1), question)

    @property
    def others(self):
        return [own for name, own in self.identities.items() if name != ME]

    def send_last(self, message, seconds):
        self.sent.append(message)


def test_what_was_asked_in_an_earlier_session_of_the_folder_still_counts(table, tmp_path):
    """A coordinator that says it lost the session gets another one, and no more than it had."""
    talk = Dialogue(lambda study: study.design(table, ME, "table.csv"))
    layout = talk.study.layout
    described = SiteRows(talk.study, talk.design, ME).answer(Describe())[: len(Description.slots(layout))]
    columns = tuple(range(len(layout.columns)))
    theta = (0.1,) * (len(columns) + Pattern(layout.blocks).size)
    training = MarginalDerivatives(theta, talk.study.model.nodes, columns, tuple(described.tolist()), TRAINING)
    with pytest.raises(LinkError):
        talk.join(tmp_path, Describe(), training)
    SeedFile(tmp_path, talk.study.digest).forget()
    with pytest.raises(PeerError, match="would give the validation rows alone"):
        talk.join(tmp_path, Describe(), replace(training, part=ALL))
    assert [type(message).__name__ for message in talk.sent] == [
        *("Hello", "Contribution", "Contribution"),
        *("Hello", "Contribution", "Refusal"),
    ]


@pytest.mark.parametrize(("table_file", "is_the_same"), [(b"the table", True), (b"the table, corrected", False)])
def test_a_copied_folder_gives_no_other_answer_under_the_same_masks(table, tmp_path, table_file, is_the_same):
    """On another machine, or after a restore: what differs would be a patient's values, in clear."""
    talk = Dialogue(lambda study: study.design(table, ME, "table.csv"))
    (tmp_path / "copy").mkdir()
    SeedFile(tmp_path, talk.study.digest).draw(secrets.token_bytes)
    shutil.copy2(tmp_path / "session.seed", tmp_path / "copy")
    for folder, talk.table in ((tmp_path, b"the table"), (tmp_path / "copy", table_file)):
        with pytest.raises(LinkError):
            talk.join(folder)
    one, other = talk.sent
    assert (one == other) == is_the_same
    assert (one.mask_public_key == other.mask_public_key) == (one.nonce == other.nonce) == is_the_same


def test_a_site_that_its_operator_stops_says_nothing_and_can_go_on(script, agent):
    def interrupt():
        raise KeyboardInterrupt

    script.replies = [interrupt]
    with pytest.raises(KeyboardInterrupt):
        agent.run()
    assert [type(message).__name__ for _, message in script.events] == ["Hello"]


def test_a_lost_connection_is_not_told_to_the_lost(script, agent):
    def lost():
        raise LinkError("gone")

    script.replies = [lost]
    with pytest.raises(LinkError):
        agent.run()
    assert len(script.events) == 1


def test_words_about_a_sites_own_table_never_leave_it():
    words = "age is 7 in 12 rows"
    for error in (
        TableError(words),
        InputError(words),
        QuantityError(words),
        FitError(words),
        FedglmmError(words),
        OwnRowsError(words),
    ):
        told = outward(error)
        assert words not in str(told)
        assert told.exit_code == error.exit_code
    for error in (RefusalError(words), PeerError(words)):
        assert outward(error) is error


class TestJournal:
    @pytest.fixture
    def record(self, script):
        asked = script.first()
        script.site.open(asked.offer)
        script.site.receive(asked.request)
        slots = asked.question.slots(script.study.layout)
        return script.site.answer(np.zeros(len(slots)), slots).record

    def test_survives_a_restart(self, tmp_path, record):
        path = tmp_path / "journal.jsonl"
        with Journal(path) as journal:
            assert journal.records == ()
            journal.append(record)
        with Journal(path) as journal:
            assert journal.records == (record,)

    def test_is_synced_before_append_returns(self, tmp_path, record, monkeypatch):
        path, synced = tmp_path / "journal.jsonl", []
        with Journal(path) as journal:
            monkeypatch.setattr("os.fdatasync", lambda handle: synced.append(path.read_bytes()))
            journal.append(record)
            assert base64.b64encode(encode_site(record.made[0])) in synced[-1]

    def test_a_full_disk_leaves_it_whole(self, tmp_path, record, full_disk):
        path = tmp_path / "journal.jsonl"
        with Journal(path) as journal:
            journal.append(record)
            whole = path.read_bytes()
            with full_disk(len(whole) + 100), pytest.raises(OSError, match=r"journal\.jsonl"):
                journal.append(record)
        assert path.read_bytes() == whole

    def test_a_link_in_its_place_is_not_followed(self, tmp_path):
        (tmp_path / "journal.jsonl").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OSError, match="symbolic links"):
            Journal(tmp_path / "journal.jsonl")
        assert not (tmp_path / "elsewhere").exists()

    def test_a_line_cut_off_by_a_crash_is_left_out(self, tmp_path, record):
        path = tmp_path / "journal.jsonl"
        with Journal(path) as journal:
            journal.append(record)
        path.write_bytes(path.read_bytes() + b'{"session": "ab')
        with Journal(path) as journal:
            assert journal.records == (record,)
            journal.append(record)
        with Journal(path) as journal:
            assert journal.records == (record, record)

    @pytest.mark.parametrize("damage", [b"{}\n", b"nonsense\n", b'{"session": 1}\n', b"[]\n", b"\xff\n"])
    def test_damage_is_refused(self, tmp_path, damage):
        path = tmp_path / "journal.jsonl"
        path.write_bytes(damage)
        with pytest.raises(InputError, match="is damaged"):
            Journal(path)


class TestSeedFile:
    def test_is_kept_for_its_owner_only_and_read_back(self, tmp_path):
        seed = SeedFile(tmp_path, STUDY).read_or_draw(secrets.token_bytes)
        assert (tmp_path / "session.seed").stat().st_mode & 0o777 == 0o600
        assert SeedFile(tmp_path, STUDY).read_or_draw(secrets.token_bytes).content == seed.content

    def test_is_of_one_study(self, tmp_path):
        seed = SeedFile(tmp_path, STUDY).read_or_draw(secrets.token_bytes)
        other = SeedFile(tmp_path, bytes(32))
        for touch in (other.refuse_other, lambda: other.read_or_draw(secrets.token_bytes)):
            with pytest.raises(InputError, match=r"holds a session of another study \(digest 0101010101010101\)"):
                touch()
        assert SeedFile(tmp_path, STUDY).read_or_draw(secrets.token_bytes).content == seed.content
        SeedFile(tmp_path, STUDY).forget()
        assert other.read_or_draw(secrets.token_bytes).content != seed.content

    def test_that_others_can_read_is_refused(self, tmp_path):
        SeedFile(tmp_path, STUDY).draw(secrets.token_bytes)
        (tmp_path / "session.seed").chmod(0o644)
        with pytest.raises(InputError, match="chmod 600"):
            SeedFile(tmp_path, STUDY).read_or_draw(secrets.token_bytes)

    @pytest.mark.parametrize("is_link", [False, True])
    def test_is_not_written_into_what_somebody_put_in_its_place(self, tmp_path, is_link):
        """A file that all can read, or a link to one, in a folder that others can write to."""
        planted, theirs = tmp_path / "session.seed.new", tmp_path / "theirs"
        theirs.write_bytes(b"")
        theirs.chmod(0o666)
        planted.symlink_to(theirs) if is_link else theirs.rename(planted)
        with (theirs if is_link else planted).open("rb") as reader:
            SeedFile(tmp_path, STUDY).draw(secrets.token_bytes)
            assert reader.read() == b""
        seed = tmp_path / "session.seed"
        assert not seed.is_symlink()
        assert seed.stat().st_mode & 0o777 == 0o600

    def test_is_forgotten(self, tmp_path):
        seeds = SeedFile(tmp_path, STUDY)
        first = seeds.draw(secrets.token_bytes).content
        seeds.forget()
        assert list(tmp_path.iterdir()) == []
        assert seeds.read_or_draw(secrets.token_bytes).content != first
