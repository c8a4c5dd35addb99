"""A transcript, message by message: every site makes what stands there, and refuses what it must refuse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ulp
from typing import Any

from tests.vectors.forms import elements, real, wholes
from tests.vectors.independent import hashing, masking, protobuf
from tests.vectors.independent.coordinator import Coordinator
from tests.vectors.independent.messages import decode_message
from tests.vectors.independent.operations import terms as read_terms
from tests.vectors.independent.refusal import Refused
from tests.vectors.independent.site import NAMES, RELAYED, Message, Site

PHASE_OF = {name: phase for phase, name in NAMES.items()}


class Replay:
    """One session of which all secrets are known."""

    def __init__(self, transcript: Mapping[str, Any]) -> None:
        self.transcript, self.terms = transcript, read_terms(transcript["terms"])
        self.coordinator = Coordinator(self.terms)
        self.sites = {
            name: Site(
                name, self.terms, secrets,
                {each["number"]: each["answers"][name] for each in transcript["sums"] if name in each["answers"]},
            )
            for name, secrets in transcript["secrets"].items()
        }  # fmt: skip
        self.asked: dict[int, Message] = {}
        self.members: dict[int, list[str]] = {}

    def check(self) -> int:
        """Go through all messages and sums; how many lies were refused. AssertionError for anything else."""
        refused = 0
        for event in self.transcript["messages"]:
            kind = "SiteMessage" if event["to"] == "coordinator" else "CoordinatorMessage"
            data = bytes.fromhex(event["bytes"])
            content = {name: value for name, value in decode_message(kind, data).items() if value is not None}
            assert protobuf.encode(kind, content) == data
            if "error" in event:
                self._refuse(event, content)
                refused += 1
                continue
            assert protobuf.to_json(kind, content) == event["message"]
            ((name, message),) = content.items()
            if kind == "SiteMessage":
                self._from_site(event["from"], name, message)
            else:
                self._to_site(event["to"], name, message)
        for each in self.transcript["sums"]:
            self._check_sum(each)
        return refused

    def _from_site(self, sender: str, name: str, message: Message) -> None:
        site = self.sites[sender]
        if name == "hello":
            assert message == site.hello
            self.coordinator.hellos.append(message)
            return
        assert (name, message) == site.sent(), f"{sender} sends another {name}"
        self.coordinator.take(message["number"], PHASE_OF[name], message)

    def _to_site(self, recipient: str, name: str, message: Message) -> None:
        site = self.sites[recipient]
        if name == "next":
            if message["offer"] is not None:
                assert message["offer"]["hellos"] == self.coordinator.hellos
            self.asked.setdefault(message["request"]["number"], message["request"])
            assert self.asked[message["request"]["number"]] == message["request"]
            site.take_next(message)
            return
        number, phase = message["number"], RELAYED[message["phase"]]
        if phase == "contribute":
            self.members[number] = site.members
        relayed = self.coordinator.relay(site.session_id, number, phase, recipient, site.members)
        assert protobuf.encode("Relay", message) == protobuf.encode("Relay", relayed)
        site.take_relay(message)

    def _refuse(self, event: Mapping[str, Any], content: Message) -> None:
        ((name, message),) = content.items()
        site = self.sites[event["to"]]
        try:
            site.take_next(message) if name == "next" else site.take_relay(message)
        except Refused as refusal:
            if refusal.error != event["error"]:
                raise AssertionError(f"{event['name']}: {refusal}") from refusal
            return
        raise AssertionError(f"{event['name']} is not refused")

    def _check_sum(self, each: Mapping[str, Any]) -> None:
        number, context = each["number"], bytes.fromhex(each["context"])
        session_id = bytes.fromhex(self.transcript["session_id"])
        asked = self.asked[number]
        total, contributors = self.coordinator.total(
            session_id, number, context, asked["length"], self.members.get(number, asked["participants"])
        )
        assert total == elements(each["total"])
        assert contributors == len(each["contributors"])
        sums = masking.counted_sum(total, contributors)
        vectors = [map(real, each["answers"][name]) for name in each["contributors"]]
        exact = [sum(round(x * masking.SCALE) for x in column) for column in zip(*vectors, strict=True)]
        assert sums == exact
        for value, text in zip(sums, each["numbers"], strict=True):
            assert abs(value / masking.SCALE - real(text)) <= ulp(real(text))
        for name in each["contributors"]:
            assert self.sites[name].session_id == session_id


def derived(transcript: Mapping[str, Any]) -> Iterator[tuple[str, object, object]]:
    """What each site keeps of its seed: its name, as it is in the transcript, and as the seed gives it."""
    session_id, terms = bytes.fromhex(transcript["session_id"]), read_terms(transcript["terms"])
    contexts = {str(each["number"]): bytes.fromhex(each["context"]) for each in transcript["sums"]}
    for site, secrets in transcript["secrets"].items():
        seed = bytes.fromhex(secrets["seed"])

        def from_seed(label: str, *fields: object, seed: bytes = seed) -> bytes:
            return hashing.from_seed(seed, f"fedglmm/seed/v1/{label}", *fields)

        def polynomial(*purpose: object, seed: bytes = seed) -> list[int]:
            key = hashing.from_seed(seed, "fedglmm/seed/v1/polynomial", session_id, *purpose)
            return masking.coefficients_from_seed(key, terms.threshold - 1)

        yield f"{site}: mask key", secrets["mask_key"], from_seed("session key").hex()
        for i in range(len(secrets.get("wrap_keys", ()))):
            number = i + 1
            yield f"{site}: wrap key {i}", secrets["wrap_keys"][i], from_seed("wrap key", session_id, number).hex()
            yield f"{site}: mask key {i}", secrets["mask_keys"][i], from_seed("mask key", session_id, number).hex()
            made = wholes(secrets["mask_key_polynomials"][i])
            yield f"{site}: polynomial {i}", made, polynomial("mask key", number)
        for number, made in secrets.get("self_masks", {}).items():
            context = contexts[number]
            yield f"{site}: self mask {number}", made["seed"], from_seed("self mask", context).hex()
            yield f"{site}: its polynomial", wholes(made["polynomial"]), polynomial("self mask", context)
