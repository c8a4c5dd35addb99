"""A site's connection to its coordinator, without one."""

from __future__ import annotations

import pytest

from fedglmm_secure.wire import identity
from fedglmm_secure.wire.certificates import Trust
from fedglmm_secure.wire.messages import Finished, Ready, SendAgain, Wait
from fedglmm_site import link as module
from fedglmm_site.link import SAME_AGAIN_SECONDS, Link

OWN = identity.generate()
FIRST, SECOND = (Ready("a", bytes(32), number) for number in (1, 2))


class Silence:
    """An audit log that nobody reads."""

    def sent(self, kind, data, *, session=b"", number=0):
        pass

    def received(self, kind, data, *, session=b"", number=0):
        pass


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def link(clock, tmp_path):
    made = Link(
        "127.0.0.1:9",
        pinned=Trust(OWN.certificate, None),
        keys=tmp_path,
        identity=OWN,
        timeout=10.0,
        say=lambda line: None,
        audit=Silence(),
    )
    yield made
    made.close()


@pytest.mark.parametrize("answer", [Wait(), SendAgain()])
@pytest.mark.parametrize("sent", [(FIRST,), (FIRST, SECOND)])
def test_a_coordinator_that_never_has_news_cannot_keep_a_site_busy(link, clock, monkeypatch, answer, sent):
    """Not with one message, and not with several in turn."""
    monkeypatch.setattr(link, "_try", lambda data: answer)
    for turn in range(10):
        for message in sent:
            assert link.send(message) == answer
            assert clock.now >= turn * SAME_AGAIN_SECONDS


def test_news_and_long_polls_are_answered_at_once(link, clock, monkeypatch):
    monkeypatch.setattr(link, "_try", lambda data: Wait())
    for number in range(1000):
        link.send(Ready("a", bytes(32), number))
    assert clock.now == 0.0
    for _ in range(3):
        clock.now += 20.0
        link.send(FIRST)
    assert clock.now == 60.0
    monkeypatch.setattr(link, "_try", lambda data: Finished("{}"))
    assert link.send(SECOND) == Finished("{}")
