"""The site's machine: what a site checks before anything of its own leaves. No network, no disk, no clock."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fedglmm_secure import ring
from fedglmm_secure.errors import PeerError, RefusalError
from fedglmm_secure.ring import Vector
from fedglmm_secure.securesum import labels
from fedglmm_secure.securesum.identity import SigningIdentity
from fedglmm_secure.securesum.masking.keys import MaskKey
from fedglmm_secure.securesum.messages import (
    DIGEST_BYTES,
    Hello,
    JournalRecord,
    Phase,
    Relay,
    SessionOffer,
    SumReply,
    SumRequest,
)
from fedglmm_secure.securesum.open_sum import OpenSum
from fedglmm_secure.securesum.protection import Randomness, SiteMaterial, SiteSide, SumView
from fedglmm_secure.securesum.protocols import protection_of
from fedglmm_secure.securesum.seed import Seed
from fedglmm_secure.securesum.session import NO_SESSION, Policy, Terms, open_offer, sign_hello
from fedglmm_secure.securesum.states import SITE, Machine, SiteEvent, SiteState

COUNT_SLOT = "number of contributors"
"""The first slot of every vector: each site adds 1, so the sum must be the number of sites."""


@dataclass(frozen=True)
class Step:
    """What a site sends, and what its driver writes to the journal first (None: it stands there already)."""

    record: JournalRecord | None
    message: SumReply


class Site:
    """One site in one session.

    The order of calls is ``hello``, ``open``, then ``receive`` for each question and relay and, when it returns None,
    ``answer``. A site that starts again with the seed and the journal of a session that has not ended goes on
    (``resume``).
    """

    def __init__(
        self,
        terms: Terms,
        signing: SigningIdentity,
        policy: Policy,
        seed: Seed,
        *,
        randomness: Randomness,
        earlier_sessions: Collection[bytes] = (),
        share: object = None,
    ) -> None:
        """Check the study's terms against the site's policy; RefusalError before anything is sent.

        The ids in ``earlier_sessions`` are never joined again. ``share`` is the site's part of the Paillier key.
        """
        policy.check(terms)
        self.name = terms.name_of(signing.public_bytes)
        self._terms, self._signing, self._seed, self._randomness, self._share = terms, signing, seed, randomness, share
        self._protection = protection_of(terms.scheme)
        self._machine = Machine(SITE, SiteState.NEW)
        self._hello = sign_hello(
            signing,
            self.name,
            terms.study_digest,
            seed.derive(labels.SEED_NONCE),
            MaskKey.of_session(seed).public_bytes,
        )
        self._earlier_sessions = frozenset(earlier_sessions)
        self._offer: SessionOffer | None = None
        self._session = NO_SESSION
        self._side: SiteSide | None = None
        self._sum: OpenSum | None = None
        self._cohort = terms.names
        self._starts_over = False

    @property
    def session_id(self) -> bytes:
        """The id of the open session, empty before ``open``."""
        return self._session.id

    @property
    def last(self) -> tuple[int, Phase | None]:
        """Number and phase of the last message made, (0, None) before the first."""
        return (self._sum.number, self._sum.phase) if self._sum else (0, None)

    @property
    def sent(self) -> SumReply | None:
        """The last message made in the present sum, None while the answer is owed."""
        return self._sum.sent if self._sum else None

    @property
    def sums(self) -> int:
        """How many sums were answered."""
        return 0 if self._sum is None else self._sum.number - (not self._sum.answered)

    def work_ahead(self) -> None:
        """Prepare what the next sum needs: for another thread, while this one waits for the coordinator."""
        if self._side is not None:
            self._side.work_ahead()

    def hello(self) -> Hello:
        """The site's signed introduction: the same one every time."""
        self._machine.move(SiteEvent.HELLO)
        return self._hello

    def open(self, offer: SessionOffer) -> JournalRecord | None:
        """Join the session that the coordinator offers; what to write down, None when it is joined already.

        The offer must hold exactly the roster, each Hello under its roster key and for this study, this
        site's own Hello unchanged, and give a session that this site was never in. Raises RefusalError or
        PeerError.
        """
        if offer == self._offer:
            self._machine.move(SiteEvent.SAME_OFFER)
            return None
        self._machine.require(SiteEvent.OFFER)  # (rule 8)
        session = open_offer(self._terms, offer)
        if self._hello not in offer.hellos:  # (rule 13)
            raise PeerError(
                "the coordinator changed this site's own hello; unless another program joined with this site's keys, "
                "do not trust this coordinator"
            )
        if session.id in self._earlier_sessions:  # (rule 14)
            raise PeerError("the coordinator offers a session that this site's journal already holds; start a new one")
        self._side = self._protection.at_site(
            SiteMaterial(self._terms, session, self.name, self._signing, self._seed, self._randomness, self._share)
        )
        self._offer, self._session = offer, session
        self._machine.move(SiteEvent.OFFER)
        return JournalRecord(bytes(DIGEST_BYTES), offer, ())

    def resume(self, records: Iterable[JournalRecord]) -> SumReply | None:
        """Take back a session from its journal, the offer first; what was sent last, to be sent again.

        Raises InputError (QuantityError) or PeerError when the journal is not that of a session with this seed.
        """
        records, last = list(records), None
        self._earlier_sessions -= {r.received.session_id for r in records if not isinstance(r.received, SessionOffer)}
        if self._machine.state is SiteState.NEW:
            self.hello()
        for record in records:
            if isinstance(record.received, SessionOffer):
                self.open(record.received)
            else:
                last = self._take(record.received, record.made)  # (rule 47)
        return last.message if last else None

    def check(self, request: SumRequest) -> bool:
        """Check a question as ``receive`` does, and change nothing.

        Returns whether it is the first one to its participants: then it must describe. What is asked is opaque here,
        and is checked before ``receive``, which makes the first message of a sum.
        """
        self._check_session(request)
        current = self._sum
        if current is None or request.number != current.number:
            self._check_request(request)
            return current is None or request.participants != current.view.request.participants
        if self._session.context(request) != current.view.context:  # (rule 28)
            raise PeerError(
                f"the coordinator asks a second, different question under sum {request.number}; a site "
                "answers each sum once"
            )
        return self._starts_over

    def receive(self, message: SumRequest | Relay) -> Step | None:
        """Check a question or a relay: what to send, or None for "compute the answer".

        Raises RefusalError for participants that the study does not allow or too many sums, PeerError for another
        session, a repeated or skipped number, a second question or relay in one place, and anything out of order.
        """
        return self._take(message, ())

    def answer(self, values: Vector, names: Sequence[str]) -> Step:
        """Protect the answer, ``values`` with a name each, to the question that ``receive`` let through.

        The driver writes the record to its journal and syncs it to disk first, and sends the message second: only so
        can a site that crashed in between never give a second, different answer. Raises QuantityError with the name
        of a value that does not fit, PeerError when the length is not the one that was asked for.
        """
        current = self._sum
        if current is None or current.answered:
            raise PeerError("there is no question to answer; start the session again")
        asked = current.view.request
        if len(values) + 1 != asked.length or len(values) != len(names):  # (rule 32)
            raise PeerError(
                f"the coordinator asks for {asked.length - 1} numbers in sum {asked.number}, but its "
                f"question has {len(names)}"
            )
        event = SiteEvent.ANSWER if current.is_last_phase else SiteEvent.ANSWER_TO_OPEN
        self._machine.require(event)
        encoded = ring.encode(np.concatenate([[1.0], values]), (COUNT_SLOT, *names))
        record = current.answer(encoded)
        self._machine.move(event)
        return Step(record, record.made[0])

    def _take(self, message: SumRequest | Relay, made: tuple[SumReply, ...]) -> Step | None:
        """Receive a message; with ``made``, take what was made of it then, instead of making it."""
        if isinstance(message, SumRequest):
            return self._take_request(message, made)
        return self._take_relay(message, made)

    def _take_request(self, request: SumRequest, made: tuple[SumReply, ...]) -> Step | None:
        starts_over, current = self.check(request), self._sum
        if current is not None and request.number == current.number:
            self._machine.move(SiteEvent.SAME_QUESTION)
            return self._again(current)
        fresh = OpenSum(SumView(self._terms, self._session, self.name, request), self._require_side())
        event = SiteEvent.QUESTION if fresh.is_answering else SiteEvent.QUESTION_FOR_KEYS
        self._machine.require(event)
        self._sum, self._cohort, self._starts_over = fresh, request.participants, starts_over
        self._machine.move(event)
        return self._proceed(fresh, made)

    def _take_relay(self, relay: Relay, made: tuple[SumReply, ...]) -> Step | None:
        self._check_session(relay)
        current = self._sum
        if current is None or relay.number != current.number:  # (rule 35)
            raise PeerError(f"the coordinator relays messages of sum {relay.number}, which is not the present one")
        if relay.phase in current.relays:
            if relay != current.relays[relay.phase]:  # (rule 36)
                raise PeerError(
                    f"the coordinator relays other messages of sum {relay.number} than before; a site takes them once"
                )
            self._machine.move(SiteEvent.SAME_RELAY)
            return self._again(current)
        event = current.event_of(relay)
        self._machine.require(event)
        current.take(relay)
        self._cohort = current.members
        self._machine.move(event)
        return self._proceed(current, made)

    def _proceed(self, current: OpenSum, made: tuple[SumReply, ...]) -> Step | None:
        """The next message of a sum, unless it is the answer, which is computed first."""
        if made:
            record = current.restore(made)
            if current.is_answering:
                self._machine.move(SiteEvent.ANSWER if current.is_last_phase else SiteEvent.ANSWER_TO_OPEN)
        elif current.is_answering:
            return None
        else:
            record = current.make()
        return Step(record, record.made[0])

    @staticmethod
    def _again(current: OpenSum) -> Step | None:
        """The last message of this sum, None while the answer is owed."""
        return Step(None, current.sent) if current.sent else None

    def _require_side(self) -> SiteSide:
        if self._side is None:
            raise PeerError("the coordinator asks before it offered a session; do not trust this coordinator")
        return self._side

    def _check_session(self, message: SumRequest | Relay) -> None:
        if message.session_id != self._session.id:  # (rules 24 and 35)
            raise PeerError("the coordinator's message belongs to another session; start the session again")

    def _check_request(self, request: SumRequest) -> None:
        """What must hold for a new question."""
        self._terms.check_cohort(self._cohort, request.participants, self.name)  # (rules 25 and 26)
        if request.number > self._terms.max_sums:  # (rule 27)
            raise RefusalError(
                f"the coordinator asks for more than the {self._terms.max_sums} sums that the study allows; "
                "raise max_rounds in the study if the fit needs them"
            )
        last = self._sum.number if self._sum else 0
        if request.number <= last:  # (rule 28)
            raise PeerError(
                f"the coordinator asks for sum {request.number} again after sum {last}; a site answers in order"
            )
        if request.number != last + 1:  # (rule 28)
            raise PeerError(
                f"the coordinator skips from sum {last} to sum {request.number}; a site answers in order, so either "
                "the coordinator lies or this site's folder was restored from a backup: start a new session"
            )

    def __repr__(self) -> str:
        return f"Site({self.name!r}, {self._machine.state.value!r})"
