"""Whole sums by the package, one a protocol: every message in order, every secret, and lies that a site refuses.

A lie is a message of the coordinator that takes the place of an honest one, and changes nothing at the site.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from fedglmm_secure import ring
from fedglmm_secure.errors import FedglmmError
from fedglmm_secure.model import questions
from fedglmm_secure.model.questions import Question
from fedglmm_secure.securesum import (
    Coordinator,
    Phase,
    Policy,
    Relay,
    Seed,
    SigningIdentity,
    Site,
    Step,
    SumReply,
    SumRequest,
    Terms,
    labels,
)
from fedglmm_secure.securesum.masking.keys import MaskKey
from fedglmm_secure.securesum.masking.masks import keystream
from fedglmm_secure.securesum.masking.shamir import COEFFICIENT_BYTES, PRIME
from fedglmm_secure.securesum.messages import BATCH
from fedglmm_secure.securesum.paillier.keys import KeyShare, draw_below
from fedglmm_secure.securesum.states import KEY_PHASES, phases_of
from fedglmm_secure.wire import codec
from fedglmm_secure.wire.messages import CoordinatorMessage, Next
from fedglmm_secure.wire.v1 import exchange_pb2 as pb
from tests.vectors.cases import drawn
from tests.vectors.forms import real_text, whole_texts
from tests.vectors.package import fields_of, terms_text

COORDINATOR = "coordinator"


@dataclass(frozen=True)
class Ask:
    """A question with an answer for each site; ``lost`` fall silent before they send the message of a phase."""

    question: Question
    answers: Mapping[str, Sequence[float]]
    lost: Mapping[Phase, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Lie:
    """A message in place of an honest one, and how the site refuses it."""

    name: str
    message: CoordinatorMessage
    error: str
    sentence: str


Lies = Callable[["Recorder", str, CoordinatorMessage], Sequence[Lie]]
"""What the coordinator tries with a site before an honest message; ``Recorder`` knows the rest."""


class Tap:
    """Fixed bytes in place of randomness, all of which are kept."""

    def __init__(self, name: str) -> None:
        self._name, self.drawn = name, list[bytes]()

    def __call__(self, size: int) -> bytes:
        self.drawn.append(drawn(f"{self._name}, draw {len(self.drawn)}", size))
        return self.drawn[-1]


def signing_of(name: str) -> SigningIdentity:
    return SigningIdentity.from_private_bytes(drawn(f"signing key of {name}"))


class Recorder:
    """One session that is written down as it goes."""

    def __init__(self, terms: Terms, shares: Mapping[str, KeyShare], lies: Lies) -> None:
        self.terms, self._shares, self._lies = terms, shares, lies
        self.seeds = {name: Seed(drawn(f"seed of {name}")) for name in terms.names}
        self.taps = {name: Tap(f"randomness of {name}") for name in terms.names}
        self.sites = {
            name: Site(
                terms, signing_of(name), Policy(), self.seeds[name],
                randomness=self.taps[name], share=shares.get(name),
            )
            for name in terms.names
        }  # fmt: skip
        self.coordinator = Coordinator(terms)
        self.events: list[dict[str, Any]] = []
        self.sums: list[dict[str, Any]] = []
        self.sent: dict[tuple[int, Phase], dict[str, SumReply]] = {}
        for name, site in self.sites.items():
            hello = site.hello()
            self._note(name, COORDINATOR, "SiteMessage", codec.encode_site(hello))
            self.coordinator.receive_hello(hello)
        self.offer = self.coordinator.offer(lambda size: drawn("coordinator nonce", size))

    def run(self, ask: Ask) -> None:
        """One sum."""
        numbers = len(next(iter(ask.answers.values())))
        request = self.coordinator.begin(questions.encode(ask.question), numbers)
        while not self.coordinator.is_complete:
            heard = [self._step(name, ask) for name in self.coordinator.missing()]
            if not any(heard):
                self.coordinator.lose()
        self._close(ask, request)

    def _step(self, name: str, ask: Ask) -> bool:
        """Whether the coordinator heard anything of the site."""
        site = self.sites[name]
        received = self.coordinator.following(*site.last, name)
        if received is None:
            return False
        message: CoordinatorMessage = received if isinstance(received, Relay) else self.next_of(received, ask.question)
        for lie in self._lies(self, name, message):
            self._refused(name, lie)
        self._note(COORDINATOR, name, "CoordinatorMessage", codec.encode_coordinator(message))
        if hand(site, message) is None:
            values = ask.answers[name]
            site.answer(np.array(values), [f"number {i + 1}" for i in range(len(values))])
        reply = cast("SumReply", site.sent)
        if name in ask.lost.get(reply.phase, ()):
            return False
        self._note(name, COORDINATOR, "SiteMessage", codec.encode_site(reply))
        self.sent.setdefault((reply.number, reply.phase), {})[name] = reply
        self.coordinator.receive(reply)
        return True

    def next_of(self, request: SumRequest, question: Question) -> Next:
        """A question, the first with the offer."""
        return Next(self.offer if request.number == 1 else None, request, question)

    def _refused(self, name: str, lie: Lie) -> None:
        try:
            hand(self.sites[name], lie.message)
        except FedglmmError as error:
            if type(error).__name__ != lie.error or lie.sentence not in str(error):
                raise AssertionError(f"{lie.name} is refused otherwise than it must be") from error
        else:
            raise AssertionError(f"{lie.name} is not refused")
        refused = {"name": lie.name, "error": lie.error, "sentence": lie.sentence}
        data = codec.encode_coordinator(lie.message).hex()
        self.events.append({"from": COORDINATOR, "to": name, **refused, "bytes": data})

    def _note(self, sender: str, to: str, kind: str, data: bytes) -> None:
        fields = fields_of(getattr(pb, kind).FromString(data))
        self.events.append({"from": sender, "to": to, "message": fields, "bytes": data.hex()})

    def _close(self, ask: Ask, request: SumRequest) -> None:
        collected = self.coordinator._sum.collected  # type: ignore[union-attr]
        total = ring.to_bytes(self.coordinator._protection.total(collected))
        reals = self.coordinator.total()
        self.sums.append(
            {
                "number": request.number,
                "context": collected.session.context(request).hex(),
                "answers": {name: [real_text(x) for x in ask.answers[name]] for name in request.participants},
                "contributors": list(self.coordinator.cohort),
                "total": total.hex(),
                "numbers": [real_text(x) for x in reals.tolist()],
            }
        )

    def content(self) -> dict[str, Any]:
        """The transcript as a file has it."""
        return {
            "terms": terms_text(self.terms),
            "secrets": {name: self._secrets(name) for name in self.terms.names},
            "session_id": self.coordinator.session_id.hex(),
            "messages": self.events,
            "sums": self.sums,
        }

    def _secrets(self, name: str) -> dict[str, Any]:
        seed, session_id = self.seeds[name], self.coordinator.session_id
        secrets: dict[str, Any] = {
            "signing_key": drawn(f"signing key of {name}").hex(),
            "seed": seed.content.hex(),
            "mask_key": MaskKey.of_session(seed).private_bytes.hex(),
        }
        contexts = {closed["number"]: bytes.fromhex(closed["context"]) for closed in self.sums}
        if self.terms.survives_dropouts:
            batches = [number for number in contexts if KEY_PHASES[0] in phases_of(self.terms.scheme, number)]
            for first in batches:
                numbers = range(first, first + BATCH)
                secrets["wrap_keys"] = [seed.derive(labels.SEED_WRAP_KEY, session_id, i).hex() for i in numbers]
                secrets["mask_keys"] = [seed.derive(labels.SEED_MASK_KEY, session_id, i).hex() for i in numbers]
                secrets["mask_key_polynomials"] = [self._polynomial(name, "mask key", i) for i in numbers]
            secrets["self_masks"] = {
                str(number): {
                    "seed": seed.derive(labels.SEED_SELF_MASK, context).hex(),
                    "polynomial": self._polynomial(name, "self mask", context),
                }
                for number, context in contexts.items()
            }
        if self.terms.paillier is not None:
            secrets["key_share"] = hex(self._shares[name].secret)
            secrets["encryptions"] = self._encryptions(name)
        return secrets

    def _polynomial(self, name: str, *purpose: object) -> list[str]:
        key = self.seeds[name].derive(labels.SEED_POLYNOMIAL, self.coordinator.session_id, *purpose)
        size = COEFFICIENT_BYTES * (self.terms.threshold - 1)
        stream = keystream(key, size).tobytes()
        parts = [stream[i : i + COEFFICIENT_BYTES] for i in range(0, size, COEFFICIENT_BYTES)]
        return whole_texts(int.from_bytes(part, "big") % PRIME for part in parts)

    def _encryptions(self, name: str) -> dict[str, Any]:
        """The r and the nonce of each sum, drawn again from the bytes that were drawn then."""
        left, made = iter(self.taps[name].drawn), {}
        modulus = self.terms.paillier.modulus  # type: ignore[union-attr]
        size = len(self.sent[1, Phase.OPEN][name].ciphertexts) // (2 * modulus.bit_length() // 8)
        for closed in self.sums:
            r = [1 + draw_below(modulus - 1, lambda _: next(left)) for _ in range(size)]
            made[str(closed["number"])] = {"r": whole_texts(r), "nonce": next(left).hex()}
        return made


def hand(site: Site, message: CoordinatorMessage) -> Step | None:
    """Give a site what the coordinator sent; None where it must answer now."""
    if isinstance(message, Next) and message.offer is not None:
        site.open(message.offer)
    return site.receive(message.request if isinstance(message, Next) else cast("Relay", message))


def transcript(
    terms: Terms, asks: Sequence[Ask], lies: Lies, shares: Mapping[str, KeyShare] | None = None
) -> dict[str, Any]:
    """A session with a sum for each of ``asks``."""
    recorder = Recorder(terms, shares or {}, lies)
    for ask in asks:
        recorder.run(ask)
    return recorder.content()


def roster(*names: str) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, signing_of(name).public_bytes) for name in names)
