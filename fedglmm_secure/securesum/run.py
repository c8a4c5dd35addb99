"""A whole secure sum without a network, from the first hello to the total, in the order it happens."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from fedglmm_secure.ring import Vector
from fedglmm_secure.securesum.coordinator import Coordinator
from fedglmm_secure.securesum.identity import SigningIdentity
from fedglmm_secure.securesum.messages import Phase
from fedglmm_secure.securesum.protection import Randomness
from fedglmm_secure.securesum.seed import SEED_BYTES, Seed
from fedglmm_secure.securesum.session import DEFAULT_POLICY, Policy, Terms
from fedglmm_secure.securesum.site import Site

Losses = Mapping[Phase, Collection[str]]
"""Which sites fall silent before they send the message of a phase."""


def secure_sum(
    terms: Terms,
    signing: Sequence[SigningIdentity],
    question: bytes,
    answers: Mapping[str, Vector],
    names: Sequence[str],
    *,
    randomness: Randomness,
    policy: Policy = DEFAULT_POLICY,
    shares: Mapping[str, object] | None = None,
    losses: Losses | None = None,
) -> Vector:
    """The sum of the sites' ``answers`` to one question, over those that are not lost.

    1. Each site draws its seed, derives a nonce and a mask key from it and signs them, with the study's digest: its
       hello.
    2. The coordinator relays all hellos with a nonce of its own: the offer, which fixes the session id.
    3. Each site checks the offer against its own copy of the study.
    4. The coordinator asks: the request, which fixes the context of this sum.
    5. Phase by phase each site checks what it is told, makes its message, writes its journal, and sends; the
       coordinator relays the messages of a phase to the next. In one of the phases a site protects its answer.
    6. The coordinator opens the sum. The masks cancel, or the sites have decrypted it together, and the first slot
       counts every site once.
    """
    coordinator, sites = open_session(terms, signing, randomness, policy, shares)  # 1 to 3
    return sum_once(coordinator, sites, question, answers, names, losses)  # 4 to 6


def open_session(
    terms: Terms,
    signing: Sequence[SigningIdentity],
    randomness: Randomness,
    policy: Policy = DEFAULT_POLICY,
    shares: Mapping[str, object] | None = None,
) -> tuple[Coordinator, dict[str, Site]]:
    """Steps 1 to 3: a coordinator and its sites, by name, in an open session. ``shares``: of the Paillier key."""
    coordinator = Coordinator(terms)
    sites = [
        Site(
            terms, key, policy, Seed(randomness(SEED_BYTES)),
            randomness=randomness, share=(shares or {}).get(terms.name_of(key.public_bytes)),
        )
        for key in signing
    ]  # fmt: skip
    for site in sites:
        coordinator.receive_hello(site.hello())  # 1
    offer = coordinator.offer(randomness)  # 2
    for site in sites:
        site.open(offer)  # 3
    return coordinator, {site.name: site for site in sites}


def sum_once(
    coordinator: Coordinator,
    sites: Mapping[str, Site],
    question: bytes,
    answers: Mapping[str, Vector],
    names: Sequence[str],
    losses: Losses | None = None,
) -> Vector:
    """Steps 4 to 6, in an open session. A site that is lost in one phase takes no part in those after it."""
    coordinator.begin(question, len(names))  # 4
    while not coordinator.is_complete:
        heard = False
        for name in coordinator.missing():
            received = coordinator.following(*sites[name].last, name)
            if received is None:
                continue  # it fell silent in this phase
            step = sites[name].receive(received) or sites[name].answer(answers[name], names)  # 5
            if name not in (losses or {}).get(step.message.phase, ()):
                coordinator.receive(step.message)
                heard = True
        if not heard:
            coordinator.lose()
    return coordinator.total()  # 6
