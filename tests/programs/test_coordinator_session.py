"""The coordinator's session without a network: repeated, foreign and lying messages, and what everybody is told."""

from __future__ import annotations

import asyncio
import errno
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace

import numpy as np
import pytest

from fedglmm_coordinator.session import Session
from fedglmm_secure.errors import FedglmmError, FitError, InputError, LinkError, PeerError, RefusalError
from fedglmm_secure.exchange import Conductor
from fedglmm_secure.exchange.ledger import NoLedger
from fedglmm_secure.model.questions import Describe
from fedglmm_secure.securesum import Phase, Policy, Seed, Site
from fedglmm_secure.study import Study
from fedglmm_secure.wire import identity
from fedglmm_secure.wire.identity import Identity
from fedglmm_secure.wire.messages import Finished, Next, Ready, Refusal, SayHello, Stopped, Wait
from fedglmm_secure.wire.terms import terms_of

OUTCOME = "the result"


def three_sums(study: Study):
    """An estimator that asks the same thing three times and checks the sum."""
    numbers = len(Describe().slots(study.layout))
    for _ in range(3):
        total = yield Describe()
        assert total.tolist() == [4.0] * numbers
    return OUTCOME


@dataclass
class Net:
    study: Study
    session: Session
    sites: dict[str, Site]

    async def hello_all(self) -> dict[str, Next]:
        replies = await asyncio.gather(*(self.session.exchange(s.hello()) for s in self.sites.values()))
        return dict(zip(self.sites, replies, strict=True))

    def contribution(self, name: str, asked: Next):
        site = self.sites[name]
        if asked.offer is not None:
            site.open(asked.offer)
        again = site.receive(asked.request)
        slots = asked.question.slots(self.study.layout)
        return (again or site.answer(np.ones(len(slots)), slots)).message

    async def round(self, asked: dict[str, Next]) -> dict[str, object]:
        sent = [self.contribution(name, message) for name, message in asked.items()]
        replies = await asyncio.gather(*map(self.session.exchange, sent))
        return dict(zip(asked, replies, strict=True))


def new_site(study: Study, own: Identity) -> Site:
    seed = Seed(secrets.token_bytes(32))
    return Site(terms_of(study), own.signing, Policy(), seed, randomness=secrets.token_bytes)


@pytest.fixture
def run(study_of_four) -> Callable[..., None]:
    study, identities = study_of_four

    def go(scene: Callable[[Net], Coroutine[None, None, None]], fit=three_sums, poll_seconds: float = 5.0):
        async def play() -> None:
            conductor = Conductor(study, lambda: fit(study), randomness=secrets.token_bytes, keep=lambda result: result)
            session = Session(
                conductor, [name for name, _ in study.roster()], say=lambda line: None, poll_seconds=poll_seconds
            )
            sites = {name: new_site(study, identities[name]) for name, _ in study.roster()}
            async with asyncio.timeout(20):
                await scene(Net(study, session, sites))

        asyncio.run(play())

    return go


@pytest.fixture(scope="module")
def study_of_four(draft):
    identities = {name: identity.generate() for name in ("1_UM", "2_IU", "3_UK", "4_Case")}
    return draft.replaced(
        identities={name: (own.public_key, own.certificate) for name, own in identities.items()}
    ), identities


def test_three_sums_take_one_round_trip_each(run):
    async def scene(net: Net) -> None:
        asked = await net.hello_all()
        for number in (1, 2, 3):
            assert {(m.request.number, m.offer is None) for m in asked.values()} == {(number, number > 1)}
            asked = await net.round(asked)
        assert set(asked.values()) == {Finished(OUTCOME)}
        assert await net.session.run(1.0, 1.0) == Finished(OUTCOME)

    run(scene)


def test_a_site_knows_the_end_when_it_comes_again(run):
    """An answer can be lost on its way: that it was given is not that it arrived."""

    async def scene(net: Net) -> None:
        asked = await net.hello_all()
        for _ in range(3):
            asked = await net.round(asked)
        waiting = asyncio.create_task(net.session.wait_until_told(5.0))
        for name, site in net.sites.items():
            await asyncio.sleep(0.05)
            assert not waiting.done()
            assert await net.session.exchange(Ready(name, site.session_id, 3, Phase.CONTRIBUTE)) == Finished(OUTCOME)
            assert not waiting.done()
            assert await net.session.exchange(Ready(name, site.session_id, 3)) == Finished(OUTCOME)
        await asyncio.wait_for(waiting, 1.0)

    run(scene)


def test_the_operator_hears_why_a_site_cannot_be_told_the_end(run):
    async def scene(net: Net) -> None:
        said = []

        def say(line: str) -> None:
            said.append(line)
            raise OSError(errno.ENOSPC, "No space left on device", "log.jsonl")

        asked = await net.hello_all()
        for _ in range(3):
            asked = await net.round(asked)
        net.session._say = say
        for _ in range(2):  # a site that tries again and again is reported once
            net.session.fail(OSError(errno.ENOSPC, "No space left on device", "transcript.jsonl"))
        assert len(said) == 1
        assert "cannot be answered: [Errno 28] No space left on device: 'transcript.jsonl'" in said[0]
        name = next(iter(net.sites))
        site = net.sites[name]
        assert await net.session.exchange(Ready(name, site.session_id, 3)) == Finished(OUTCOME)

    run(scene)


def test_every_message_sent_twice_gets_the_same_answer(run):
    async def scene(net: Net) -> None:
        hello = net.sites["1_UM"].hello()
        first = await net.hello_all()
        assert await net.session.exchange(hello) == first["1_UM"]
        second = await net.round(first)
        again = net.contribution("1_UM", first["1_UM"])
        assert await net.session.exchange(again) == second["1_UM"]
        third = await net.round(second)
        ready = Ready("1_UM", net.sites["1_UM"].session_id, 2, Phase.CONTRIBUTE)
        assert await net.session.exchange(ready) == third["1_UM"]
        end = await net.round(third)
        for message in (ready, again, hello):
            assert await net.session.exchange(message) == end["1_UM"]

    run(scene)


def test_a_poll_ends_with_wait(run):
    async def scene(net: Net) -> None:
        assert await net.session.exchange(net.sites["1_UM"].hello()) == Wait()
        asked = await net.hello_all()
        sent = net.contribution("1_UM", asked["1_UM"])
        assert await net.session.exchange(sent) == Wait()
        assert await net.session.exchange(Ready("1_UM", sent.session_id, 1, Phase.CONTRIBUTE)) == Wait()

    run(scene, poll_seconds=0.05)


def test_a_lying_site_stops_the_session_for_everybody(run):
    async def scene(net: Net) -> None:
        asked = await net.hello_all()
        honest = asyncio.create_task(net.session.exchange(net.contribution("2_IU", asked["2_IU"])))
        sent = net.contribution("1_UM", asked["1_UM"])
        waiting = asyncio.create_task(net.session.exchange(sent))
        await asyncio.sleep(0)
        told = await net.session.exchange(replace(sent, vector=bytes(len(sent.vector))))
        for reply in (told, await honest, await waiting):
            assert isinstance(reply, Stopped)
            assert type(reply.error) is PeerError
            assert "'1_UM' sent two different messages" in str(reply.error)

    run(scene)


@pytest.mark.parametrize("foreign", ["contribution", "ready"])
def test_a_message_of_another_session_is_told_so_and_harms_nobody(run, foreign):
    async def scene(net: Net) -> None:
        asked = await net.hello_all()
        message = Ready("1_UM", bytes(32), 0)
        if foreign == "contribution":
            message = replace(net.contribution("1_UM", asked["1_UM"]), session_id=bytes(32))
        assert await net.session.exchange(message) == SayHello()
        assert all(isinstance(reply, Next) for reply in (await net.round(asked)).values())

    run(scene)


def test_a_second_process_of_a_site_harms_nobody(run, study_of_four):
    study, identities = study_of_four

    async def scene(net: Net) -> None:
        asked = await net.hello_all()
        second = new_site(study, identities["1_UM"])
        with pytest.raises(LinkError, match="came back without the keys of this session"):
            await net.session.exchange(second.hello())
        assert all(isinstance(reply, Next) for reply in (await net.round(asked)).values())

    run(scene)


@pytest.mark.parametrize(
    ("error", "heard"),
    [
        (RefusalError("no"), RefusalError),
        (InputError("no"), RefusalError),
        (FedglmmError("no"), RefusalError),
        (FitError("no"), FitError),
        (PeerError("no"), PeerError),
        (LinkError("no"), LinkError),
    ],
)
def test_a_refusal_reaches_everybody_with_the_sites_name(run, error, heard):
    async def scene(net: Net) -> None:
        asked = await net.hello_all()
        waiting = asyncio.create_task(net.session.exchange(net.contribution("2_IU", asked["2_IU"])))
        await asyncio.sleep(0)
        for reply in (await net.session.exchange(Refusal("1_UM", error)), await waiting):
            assert isinstance(reply, Stopped)
            assert type(reply.error) is heard
            assert str(reply.error) == "site 1_UM refused: no"

    run(scene)


def test_a_fit_error_reaches_everybody(run):
    def separated(study):
        yield Describe()
        raise FitError("separation")

    async def scene(net: Net) -> None:
        replies = await net.round(await net.hello_all())
        assert {str(reply.error) for reply in replies.values()} == {"separation"}

    run(scene, fit=separated)


def test_a_fault_of_the_estimator_reaches_everybody_without_its_words(run):
    def broken(study):
        yield Describe()
        raise ZeroDivisionError("inner words")

    async def scene(net: Net) -> None:
        replies = await net.round(await net.hello_all())
        assert {str(reply.error) for reply in replies.values()} == {
            "the coordinator failed (ZeroDivisionError); run it with --debug"
        }
        end = await net.session.run(1.0, 1.0)
        assert isinstance(end.error.__cause__, ZeroDivisionError)

    run(scene, fit=broken)


def test_absent_sites_are_named_before_and_in_a_session(run):
    async def before(net: Net) -> None:
        waiting = asyncio.create_task(net.session.exchange(net.sites["2_IU"].hello()))
        end = await net.session.run(0.1, 0.1)
        assert "no word from 1_UM, 3_UK, 4_Case for 0.1 seconds" in str(end.error)
        assert await waiting == end

    async def within(net: Net) -> None:
        asked = await net.hello_all()
        waiting = asyncio.create_task(net.session.exchange(net.contribution("2_IU", asked["2_IU"])))
        end = await net.session.run(0.1, 0.1)
        assert type(end.error) is LinkError
        assert "no word from 1_UM, 3_UK, 4_Case" in str(end.error)
        assert await waiting == end

    run(before)
    run(within)


def test_polls_are_no_progress(run):
    async def scene(net: Net) -> None:
        async def poll() -> None:
            for _ in range(100):
                await net.session.exchange(net.sites["2_IU"].hello())

        polling = asyncio.create_task(poll())
        end = await net.session.run(0.3, 0.1)
        assert "no word from 1_UM" in str(end.error)
        polling.cancel()

    run(scene, poll_seconds=0.02)


def test_a_site_whose_folder_was_restored_is_told_so(run):
    async def scene(net: Net) -> None:
        asked = await net.hello_all()
        for _ in range(2):
            asked = await net.round(asked)
        old = Ready("1_UM", net.sites["1_UM"].session_id, 1, Phase.CONTRIBUTE)
        with pytest.raises(PeerError, match="restored from a backup"):
            await net.session.exchange(old)

    run(scene)


def test_patience_does_not_shrink_a_study_that_waits(run):
    async def scene(net: Net) -> None:
        asked = await net.hello_all()
        del asked["3_UK"]
        waiting = asyncio.create_task(net.round(asked))
        end = await net.session.run(0.5, 0.05)
        assert str(end.error).startswith("no word from 3_UK for 0.5 seconds")
        await waiting

    run(scene)


def test_what_could_not_be_kept_is_told_to_nobody(study_of_four):
    """A phase that found no room on the disk: the next program gathers it again, perhaps of other sites."""
    study, identities = study_of_four
    data = study.model_dump(exclude_none=True)
    tolerant = Study.from_dict({**data, "security": {**data["security"], "dropouts": 1}}, "tolerant.toml")

    class Full(NoLedger):
        def closed_phase(self, number, phase, messages):
            raise OSError(errno.ENOSPC, "No space left on device")

    async def scene() -> None:
        conductor = Conductor(
            tolerant,
            lambda: three_sums(tolerant),
            randomness=secrets.token_bytes,
            keep=lambda result: result,
            ledger=Full(),
        )
        session = Session(conductor, identities, say=lambda line: None, poll_seconds=5.0)
        net = Net(tolerant, session, {name: new_site(tolerant, own) for name, own in identities.items()})
        advertised = []
        for name, asked in (await net.hello_all()).items():
            net.sites[name].open(asked.offer)
            advertised.append(net.sites[name].receive(asked.request).message)
        waiting = [asyncio.create_task(session.exchange(message)) for message in advertised[:-1]]
        await asyncio.sleep(0)
        with pytest.raises(OSError, match="No space left") as full:
            await session.exchange(advertised[-1])
        session.fail(full.value)  # as the server does
        assert await asyncio.gather(*waiting, *map(session.exchange, advertised)) == [Wait()] * 7
        with pytest.raises(OSError, match="No space left"):
            await session.run(5.0, 5.0)

    asyncio.run(scene())
