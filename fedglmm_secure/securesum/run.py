"""A whole secure sum without a network, from the first hello to the total, in the order it happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedglmm_secure.ring import Vector
from fedglmm_secure.securesum.coordinator import Coordinator
from fedglmm_secure.securesum.identity import SigningIdentity
from fedglmm_secure.securesum.protection import Randomness
from fedglmm_secure.securesum.session import DEFAULT_POLICY, Policy, Terms
from fedglmm_secure.securesum.site import Site


def secure_sum(
    terms: Terms,
    signing: Sequence[SigningIdentity],
    question: bytes,
    answers: Mapping[str, Vector],
    names: Sequence[str],
    *,
    randomness: Randomness,
    policy: Policy = DEFAULT_POLICY,
) -> Vector:
    """The sum of the sites' ``answers`` to one question.

    1. Each site draws a nonce and a mask key and signs them, with the study's digest: its hello.
    2. The coordinator relays all hellos with a nonce of its own: the offer, which fixes the session id.
    3. Each site checks the offer against its own copy of the study, and derives a secret with every other
       site.
    4. The coordinator asks: the request, which fixes the context of this sum.
    5. Each site checks the request, masks its answer under that context, writes its journal, and sends.
    6. The coordinator adds up. The masks cancel, and the first slot counts every site once.
    """
    coordinator, sites = open_session(terms, signing, randomness, policy)  # 1 to 3
    return sum_once(coordinator, sites, question, answers, names)  # 4 to 6


def open_session(
    terms: Terms, signing: Sequence[SigningIdentity], randomness: Randomness, policy: Policy = DEFAULT_POLICY
) -> tuple[Coordinator, dict[str, Site]]:
    """Steps 1 to 3: a coordinator and its sites, by name, in an open session."""
    coordinator = Coordinator(terms)
    sites = [Site(terms, key, policy, randomness) for key in signing]
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
) -> Vector:
    """Steps 4 to 6, in an open session."""
    request = coordinator.begin(question, len(names))  # 4
    for name, site in sites.items():
        site.receive(request)
        _journal, contribution = site.answer(answers[name], names)  # 5
        coordinator.receive(contribution)
    return coordinator.total()  # 6
