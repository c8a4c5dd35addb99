"""The coordinator in a whole session: ``docs/protocol.md``, steps 2, 5 and 6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.vectors.independent import curves, masking, paillier, session
from tests.vectors.independent.messages import BATCH
from tests.vectors.independent.refusal import require
from tests.vectors.independent.site import NAMES, RELAYED, Message

PHASES = {phase: number for number, phase in RELAYED.items()}
PARTS = {"share": "parcel", "contribute": "parcel"}
"""What a part of a relay is called where it is not the message itself."""


class Coordinator:
    """Collects the messages of each phase, relays them and opens the sum."""

    def __init__(self, terms: session.Terms) -> None:
        self.terms = terms
        self.hellos: list[Message] = []
        self._sent: dict[tuple[int, str], dict[str, Message]] = {}
        self._keys: dict[str, Message] = {}

    def take(self, number: int, phase: str, message: Message) -> None:
        """A site's message in a sum."""
        self._sent.setdefault((number, phase), {})[message["site"]] = message
        if phase == "advertise":
            self._keys[message["site"]] = message

    def relay(self, session_id: bytes, number: int, phase: str, recipient: str, members: Sequence[str]) -> Message:
        """What ``recipient`` gets after a phase; ``members`` are those for whom its senders sealed."""
        sent, kind = self._sent[number, phase], PARTS.get(phase, NAMES[phase])
        parts = []
        for name in sorted(sent):
            message: dict[str, Any] = sent[name]
            if kind == "parcel":
                sealed = message["sealed"][list(members).index(recipient)]
                message = {"site": name, "sealed": sealed, "commitment": message.get("commitment", b"")}
            parts.append({kind: message})
        return {"session_id": session_id, "number": number, "phase": PHASES[phase], "parts": parts}

    def total(
        self, session_id: bytes, number: int, context: bytes, length: int, members: Sequence[str]
    ) -> tuple[list[int], int]:
        """The sum's elements, and how many sites are in it; ``members`` are those who were asked for a vector."""
        if self.terms.protocol == "paillier":
            return self._decrypted(number, length)
        sent = self._sent[number, "contribute"]
        total = [0] * length
        for message in sent.values():
            total = masking.add(total, masking.from_bytes(message["vector"], length))
        if self.terms.threshold:
            total = self._unmasked(total, session_id, number, context, members)
        return total, len(sent)

    def _unmasked(
        self, total: list[int], session_id: bytes, number: int, context: bytes, members: Sequence[str]
    ) -> list[int]:
        """Own masks of the survivors off, and their masks with the lost sites."""
        sent, place, length = self._sent[number, "contribute"], (number - 1) % BATCH, len(total)
        for member in members:
            secret = self._opened(number, members.index(member))
            if member in sent:
                committed = session.self_commitment(secret, context, member)
                require(committed == sent[member]["commitment"], "PeerError", "does not open the commitment")
                key = masking.self_key(secret, session_id, context, member, length)
                total = masking.add(total, masking.expand(key, length), -1)
                continue
            advertised = self._keys[member]["mask_keys"][place]
            require(curves.x25519_public(secret) == advertised, "PeerError", "opens another key")
            for survivor in sent:
                shared = curves.shared_secret(secret, self._keys[survivor]["mask_keys"][place])
                key = masking.pair_key(shared, session_id, context, (survivor, member), length)
                total = masking.add(total, masking.expand(key, length), -1 if survivor < member else 1)
        return total

    def _opened(self, number: int, place: int) -> bytes:
        released = self._sent[number, "unmask"]
        shares = {self.terms.index(name): message["shares"][place] for name, message in released.items()}
        return masking.combine(shares, self.terms.threshold)

    def _decrypted(self, number: int, length: int) -> tuple[list[int], int]:
        terms, modulus, bits = self.terms, self.terms.modulus, self.terms.modulus.bit_length()
        count = paillier.plaintexts_for(length, bits)
        partials = {
            terms.index(name): paillier.ciphertexts(modulus, message["partials"], count)
            for name, message in self._sent[number, "decrypt"].items()
        }
        plaintexts = paillier.combine(modulus, terms.threshold, len(terms.roster), partials)
        contributors = len(self._sent[number, "open"])
        return paillier.unpack(plaintexts, length, contributors, bits), contributors
