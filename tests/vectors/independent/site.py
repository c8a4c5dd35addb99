"""One site in a whole session: ``docs/protocol.md``, steps 1, 3 and 5, and "What a site checks"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.vectors.forms import real, wholes
from tests.vectors.independent import curves, hashing, masking, paillier, session
from tests.vectors.independent.messages import BATCH, SEALED, question_bytes
from tests.vectors.independent.refusal import require

Message = dict[str, Any]
KEYS = ["advertise", "share"]
CLOSING = ("agree", "unmask", "decrypt")
"""Phases for which a threshold of the sites is enough."""
MASK_KEY_SHARE, SELF_SHARE = "fedglmm/masking/v1/mask key share", "fedglmm/masking/v1/self share"


def phases(terms: session.Terms, number: int) -> list[str]:
    """What a site sends in a sum, in order."""
    if terms.protocol == "paillier":
        return ["commit", "open", "decrypt"]
    if not terms.threshold:
        return ["contribute"]
    return [*(KEYS if number % BATCH == 1 else []), "contribute", "agree", "unmask"]


def parts_of(relay: Mapping[str, Any]) -> list[Message]:
    """The content of each part of a relay."""
    return [next(value for value in part.values() if value is not None) for part in relay["parts"]]


class Site:
    """A site with the secrets of a transcript; ``answers`` are its numbers for each sum."""

    def __init__(
        self, name: str, terms: session.Terms, secrets: Mapping[str, Any], answers: Mapping[int, Sequence[str]]
    ) -> None:
        self.name, self.terms, self.secrets, self._answers = name, terms, secrets, answers
        self._signing_key = bytes.fromhex(secrets["signing_key"])
        self._session_key = bytes.fromhex(secrets["mask_key"])
        self.session_id = b""
        self._public_keys: dict[str, bytes] = {}
        self._offer: Message | None = None
        self.request: Message = {"number": 0}
        self._cohort = terms.names
        self._advertised: dict[str, Message] = {}
        self._key_shares: dict[str, bytes] = {}
        self._wrap_secrets: dict[tuple[int, str], bytes] = {}
        self.hello = self._hello()

    def _hello(self) -> Message:
        nonce = hashing.from_seed(bytes.fromhex(self.secrets["seed"]), "fedglmm/seed/v1/nonce")
        public = curves.x25519_public(self._session_key)
        hello = {"site": self.name, "study_digest": self.terms.study_digest, "nonce": nonce, "mask_public_key": public}
        return {**hello, "signature": curves.sign(self._signing_key, session.hello_fields(hello))}

    def take_next(self, message: Message) -> None:
        """The offer, if there is one, and the question."""
        if message["offer"] is not None:
            self._take_offer(message["offer"])
        self._take_request(message["request"])

    def _take_offer(self, offer: Message) -> None:
        if offer == self._offer:
            return
        require(self._offer is None, "PeerError", "one session only")
        session_id = session.open_offer(self.terms, offer["coordinator_nonce"], offer["hellos"])
        require(self.hello in offer["hellos"], "PeerError", "its own hello was changed")
        self._offer, self.session_id = offer, session_id
        self._public_keys = {hello["site"]: hello["mask_public_key"] for hello in offer["hellos"]}

    def _take_request(self, request: Message) -> None:
        require(request["session_id"] == self.session_id, "PeerError", "another session")
        last = self.request["number"]
        if request["number"] == last:
            require(request == self.request, "PeerError", "a second question under one number")
            return
        self.terms.check_cohort(self._cohort, request["participants"], self.name)
        require(request["number"] == last + 1, "PeerError", "repeated or skipped")
        self.request, self._cohort = request, request["participants"]
        self.members: list[str] = list(request["participants"])
        self.context = session.context(
            self.session_id, request["number"], question_bytes(request["question"]), request["length"], self.members
        )
        self._phases = phases(self.terms, request["number"])
        self._sent: Message = {}
        self._make(self._phases[0])

    def take_relay(self, relay: Message) -> None:
        """Rules 35 to 46."""
        require(relay["session_id"] == self.session_id, "PeerError", "another session")
        require(relay["number"] == self.request["number"], "PeerError", "another sum")
        phase = self._phases[0]
        require(RELAYED[relay["phase"]] == phase and len(self._phases) > 1, "PeerError", "another phase")
        parts = parts_of(relay)
        for part in parts:
            head = (part.get("session_id", self.session_id), part.get("number", relay["number"]))
            require(head == (self.session_id, relay["number"]), "PeerError", "of another sum")
        require(self._own_part() in parts, "PeerError", "its own message was left out or changed")
        sites = [part["site"] for part in parts]
        if phase in CLOSING:
            enough = set(sites) <= set(self.members) and len(sites) >= self.terms.threshold
            require(enough, "PeerError", "too few")
        else:
            self.terms.check_cohort(self.members, sites, self.name)
        getattr(self, f"_take_{phase}")(parts)
        if phase not in CLOSING:
            self.members = self._cohort = sites
        self._phases = self._phases[1:]
        self._make(self._phases[0])

    def sent(self) -> tuple[str, Message]:
        """The message that is to be sent now: its name in SiteMessage, and its fields."""
        return NAMES[self._phases[0]], self._sent

    def _make(self, phase: str) -> None:
        head = {"session_id": self.session_id, "number": self.request["number"], "site": self.name}
        self._members_at_send = self.members
        self._sent = {**head, **getattr(self, f"_make_{phase}")(head)}

    def _own_part(self) -> Message:
        """What this site must find in a relay of its own message."""
        if "sealed" not in self._sent:
            return self._sent
        sealed = self._sent["sealed"][self._members_at_send.index(self.name)]
        return {"site": self.name, "sealed": sealed, "commitment": self._sent.get("commitment", b"")}

    def _vector(self) -> list[int]:
        answer = self._answers[self.request["number"]]
        require(len(answer) + 1 == self.request["length"], "PeerError", "another length")
        return [masking.fixed_point(value) for value in (1.0, *map(real, answer))]

    def _place(self) -> int:
        """Where the keys of this sum are in those of its batch."""
        return (self.request["number"] - 1) % BATCH

    # Masks

    def _make_contribute(self, head: Message) -> Message:
        peers = [name for name in self.members if name != self.name]
        if not self.terms.threshold:
            secrets = {peer: curves.shared_secret(self._session_key, self._public_keys[peer]) for peer in peers}
            if self.terms.protocol == "plain":
                secrets = {}
            masked = masking.pair_masked(self._vector(), self.name, secrets, self.session_id, self.context)
            return {"vector": masking.to_bytes(masked), "commitment": b"", "sealed": []}
        own, place = bytes.fromhex(self.secrets["mask_keys"][self._place()]), self._place()
        secrets = {peer: curves.shared_secret(own, self._advertised[peer]["mask_keys"][place]) for peer in peers}
        masked = masking.pair_masked(self._vector(), self.name, secrets, self.session_id, self.context)
        self._seed = bytes.fromhex(self._self_mask()["seed"])
        key = masking.self_key(self._seed, self.session_id, self.context, self.name, len(masked))
        masked = masking.add(masked, masking.expand(key, len(masked)))
        sealed = self._sealed(SELF_SHARE, self._seed, self._self_mask()["polynomial"], self.request["number"])
        commitment = session.self_commitment(self._seed, self.context, self.name)
        return {"vector": masking.to_bytes(masked), "commitment": commitment, "sealed": sealed}

    def _self_mask(self) -> Mapping[str, Any]:
        made: Mapping[str, Any] = self.secrets["self_masks"][str(self.request["number"])]
        return made

    # Masking with dropouts: M1 to M5

    def _make_advertise(self, head: Message) -> Message:
        keys = {
            field: [curves.x25519_public(bytes.fromhex(key)) for key in self.secrets[field]]
            for field in ("wrap_keys", "mask_keys")
        }
        return {**keys, "signature": curves.sign(self._signing_key, session.advertisement_fields({**head, **keys}))}

    def _take_advertise(self, parts: Sequence[Message]) -> None:
        session.take_keys(self.terms, parts)
        self._advertised = {part["site"]: part for part in parts}

    def _make_share(self, head: Message) -> Message:
        keys = zip(self.secrets["mask_keys"], self.secrets["mask_key_polynomials"], strict=True)
        sums = [
            self._sealed(MASK_KEY_SHARE, bytes.fromhex(key), polynomial, head["number"] + i)
            for i, (key, polynomial) in enumerate(keys)
        ]
        return {"sealed": [b"".join(entries) for entries in zip(*sums, strict=True)]}

    def _take_share(self, parts: Sequence[Message]) -> None:
        for part in parts:
            size = 0 if part["site"] == self.name else BATCH * SEALED
            require(len(part["sealed"]) == size, "PeerError", "another size")
        self._key_shares = {part["site"]: part["sealed"] for part in parts}

    def _take_contribute(self, parts: Sequence[Message]) -> None:
        commitments = {part["site"]: part["commitment"] for part in parts}
        require(all(commitments.values()), "PeerError", "a commitment is missing")
        number = self.request["number"]
        shares = {
            part["site"]: self._unseal(part["sealed"], SELF_SHARE, number, part["site"])
            for part in parts
            if part["site"] != self.name
        }
        own = masking.split(self._seed, wholes(self._self_mask()["polynomial"]), [self.terms.index(self.name)])
        self._self_shares = {**shares, self.name: own[self.terms.index(self.name)]}
        self._masked, self._commitments = list(self.members), commitments

    def _make_agree(self, head: Message) -> Message:
        fields = session.agreement_fields(self.context, self._masked, self._commitments)
        return {"survivors": sorted(self._commitments), "signature": curves.sign(self._signing_key, fields)}

    def _take_agree(self, parts: Sequence[Message]) -> None:
        session.take_agreements(self.terms, self.context, self._masked, self._commitments, parts)

    def _make_unmask(self, head: Message) -> Message:
        return {"shares": [self._released(member) for member in self._masked]}

    def _released(self, member: str) -> bytes:
        if member in self._commitments:
            return self._self_shares[member]
        start = self._place() * SEALED
        sealed = self._key_shares[member][start : start + SEALED]
        return self._unseal(sealed, MASK_KEY_SHARE, self.request["number"], member)

    def _bound(self, label: str, number: int, sender: str, recipient: str) -> list[object]:
        """What a sealed share is bound to: the share of a self-mask also to the context."""
        return [number, sender, recipient, *([self.context] if label == SELF_SHARE else [])]

    def _sealed(self, label: str, secret: bytes, polynomial: Sequence[str], number: int) -> list[bytes]:
        members = list(self._advertised) if label == MASK_KEY_SHARE else self.members
        shares = masking.split(secret, wholes(polynomial), [self.terms.index(member) for member in members])
        return [
            b""
            if member == self.name
            else masking.seal(
                shares[self.terms.index(member)], self._wrap_secret(number, member), self.session_id, label,
                self._bound(label, number, self.name, member),
            )
            for member in members
        ]  # fmt: skip

    def _unseal(self, sealed: bytes, label: str, number: int, sender: str) -> bytes:
        bound = self._bound(label, number, sender, self.name)
        return masking.unseal(sealed, self._wrap_secret(number, sender), self.session_id, label, bound)

    def _wrap_secret(self, number: int, peer: str) -> bytes:
        place = (number - 1) % BATCH
        if (number, peer) not in self._wrap_secrets:
            own = bytes.fromhex(self.secrets["wrap_keys"][place])
            secret = curves.shared_secret(own, self._advertised[peer]["wrap_keys"][place])
            self._wrap_secrets[number, peer] = secret
        return self._wrap_secrets[number, peer]

    # Threshold Paillier: P1 to P3

    def _make_commit(self, head: Message) -> Message:
        modulus, drawn = self.terms.modulus, self.secrets["encryptions"][str(head["number"])]
        plaintexts = paillier.pack(self._vector(), modulus.bit_length())
        pairs = zip(plaintexts, wholes(drawn["r"]), strict=True)
        ciphertexts = paillier.to_bytes(modulus, [paillier.encrypt(modulus, m, r) for m, r in pairs])
        self._opening = {"nonce": bytes.fromhex(drawn["nonce"]), "ciphertexts": ciphertexts}
        commitment = session.paillier_commitment(self.context, self.name, **self._opening)
        fields = session.commitment_fields(self.context, self.name, commitment)
        return {"digest": commitment, "signature": curves.sign(self._signing_key, fields)}

    def _take_commit(self, parts: Sequence[Message]) -> None:
        for part in parts:
            fields = session.commitment_fields(self.context, part["site"], part["digest"])
            curves.verify(self.terms.key(part["site"]), part["signature"], fields)
        self._commitments = {part["site"]: part["digest"] for part in parts}

    def _make_open(self, head: Message) -> Message:
        return self._opening

    def _take_open(self, parts: Sequence[Message]) -> None:
        modulus = self.terms.modulus
        for part in parts:
            opened = session.paillier_commitment(self.context, part["site"], part["nonce"], part["ciphertexts"])
            require(opened == self._commitments.get(part["site"]), "PeerError", "not what was committed to")
        count = paillier.plaintexts_for(self.request["length"], modulus.bit_length())
        opened_all = [paillier.ciphertexts(modulus, part["ciphertexts"], count) for part in parts]
        self._product = paillier.multiply(modulus, opened_all)

    def _make_decrypt(self, head: Message) -> Message:
        share, modulus = int(self.secrets["key_share"], 16), self.terms.modulus
        return {"partials": paillier.to_bytes(modulus, paillier.partial_decrypt(modulus, share, self._product))}


NAMES = {
    "advertise": "advertisement", "share": "key_shares", "contribute": "contribution", "agree": "agreement",
    "unmask": "unmasking", "commit": "commitment", "open": "opening", "decrypt": "decryption",
}  # fmt: skip
"""The message of each phase, as SiteMessage calls it."""

RELAYED = dict(enumerate(NAMES, 1))
"""The phase of each number of the enum Phase."""
