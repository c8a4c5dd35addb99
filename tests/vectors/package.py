"""What the vectors ask, by name, answered by the package: ``write_vectors.py`` writes down what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import factorial
from types import SimpleNamespace
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from fedglmm_secure import canonical, ring
from fedglmm_secure.model import questions
from fedglmm_secure.securesum import Hello, PaillierTerms, SessionOffer, SigningIdentity, Terms, identity, paillier
from fedglmm_secure.securesum.masking import masks, shamir, tolerant, wrapping
from fedglmm_secure.securesum.masking.complete import add_pair_masks
from fedglmm_secure.securesum.masking.keys import MaskKey
from fedglmm_secure.securesum.messages import Opening
from fedglmm_secure.securesum.paillier import sums as paillier_sums
from fedglmm_secure.securesum.paillier.encryption import from_bytes
from fedglmm_secure.securesum.paillier.keys import KeyShare, PublicKey
from fedglmm_secure.securesum.sealed import EncryptionIdentity
from fedglmm_secure.securesum.seed import Seed
from fedglmm_secure.securesum.session import Session, open_offer
from fedglmm_secure.study import Study
from fedglmm_secure.wire import codec, question
from fedglmm_secure.wire.v1 import exchange_pb2 as pb
from tests.vectors.forms import field, real, real_text, whole_texts, wholes

Given = Mapping[str, Any]
CODECS: Mapping[str, tuple[Callable[[bytes], Any], Callable[[Any], bytes]]] = {
    "SiteMessage": (codec.decode_site, codec.encode_site),
    "CoordinatorMessage": (codec.decode_coordinator, codec.encode_coordinator),
}


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def ring_of(text: str) -> ring.Ring:
    return ring.from_bytes(raw(text), len(text) // 32)


def fields_of(message: Message) -> dict[str, Any]:
    """Every field of a protobuf message by name, in the order of their numbers; of a oneof only the one that is set."""
    return {
        each.name: value_of(message, each)
        for each in sorted(message.DESCRIPTOR.fields, key=lambda each: each.number)
        if each.containing_oneof is None or message.HasField(each.name)
    }


def value_of(message: Message, each: FieldDescriptor) -> Any:
    value = getattr(message, each.name)
    if each.is_repeated:
        return [text_of(each, inner) for inner in value]
    if each.message_type is not None and not message.HasField(each.name):
        return None
    return text_of(each, value)


def text_of(each: FieldDescriptor, value: Any) -> Any:
    if each.message_type is not None:
        return fields_of(value)
    if each.enum_type is not None:
        return each.enum_type.values_by_number[value].name
    match value:
        case bytes():
            return value.hex()
        case float():
            return real_text(value)
        case _:
            return value


def message_of(kind: str, fields: Given) -> Message:
    """A protobuf message of what ``fields_of`` gives."""
    made: Message = getattr(pb, kind)()
    types = made.DESCRIPTOR.fields_by_name
    given = {}
    for name, value in fields.items():
        each = types[name]
        if value is not None:
            given[name] = [native(each, inner) for inner in value] if each.is_repeated else native(each, value)
    return type(made)(**given)


def native(each: FieldDescriptor, value: Any) -> Any:
    if each.message_type is not None:
        return message_of(each.message_type.name, value)
    if each.type == FieldDescriptor.TYPE_BYTES:
        return raw(value)
    return real(value) if each.type == FieldDescriptor.TYPE_DOUBLE else value


def encode_message(given: Given) -> str:
    decode, encode = CODECS[given["kind"]]
    return encode(decode(message_of(given["kind"], given["fields"]).SerializeToString())).hex()


def decode_message(given: Given) -> dict[str, Any]:
    decode, encode = CODECS[given["kind"]]
    return fields_of(getattr(pb, given["kind"]).FromString(encode(decode(raw(given["bytes"])))))


def terms(given: Given) -> Terms:
    modulus = int(given["modulus"], 16)
    return Terms(
        given["protocol"], raw(given["study_digest"]), tuple((name, raw(key)) for name, key in given["roster"]),
        given["minimum_sites"], 100, given["dropouts"], given["on_dropout"],
        PaillierTerms(modulus, given["threshold"]) if modulus else None,
    )  # fmt: skip


def terms_text(value: Terms) -> dict[str, Any]:
    return {
        "protocol": value.protocol,
        "study_digest": value.study_digest.hex(),
        "roster": [[name, key.hex()] for name, key in value.roster],
        "minimum_sites": value.minimum_sites,
        "dropouts": value.dropouts,
        "on_dropout": value.on_dropout,
        "modulus": hex(value.paillier.modulus if value.paillier else 0),
        "threshold": value.threshold,
    }


def public(given: Given) -> PublicKey:
    return PublicKey(int(given["modulus"], 16))


def tags(given: Given) -> list[object]:
    return [field(each) for each in given["fields"]]


def _encode(given: Given) -> str:
    values = np.array([real(text) for text in given["values"]])
    return ring.to_bytes(ring.encode(values, [f"value {i + 1}" for i in range(len(values))])).hex()


def _decode_sum(given: Given) -> list[str]:
    return [real_text(value) for value in ring.decode_sum(ring_of(given["elements"]), given["contributors"]).tolist()]


def _self_mask(given: Given) -> str:
    mask = masks.self_mask(
        raw(given["seed"]), raw(given["session_id"]), raw(given["context"]), given["site"], given["length"]
    )
    return ring.to_bytes(mask).hex()


def _pair_masked(given: Given) -> str:
    view = SimpleNamespace(
        site=given["site"], session=Session(raw(given["session_id"]), {}), context=raw(given["context"])
    )
    secrets = {peer: raw(secret) for peer, secret in given["secrets"].items()}
    return ring.to_bytes(add_pair_masks(ring_of(given["elements"]), view, secrets)).hex()


def _split(given: Given) -> dict[str, str]:
    randomness = raw(given["randomness"])
    shares = shamir.split(raw(given["secret"]), len(randomness) // 48 + 1, given["indices"], randomness)
    return {str(index): share.hex() for index, share in shares.items()}


def _wrapping(given: Given) -> tuple[bytes, bytes, str, tuple[object, ...]]:
    return raw(given["secret"]), raw(given["session_id"]), given["label"], tuple(tags(given))


def _open_sealed(given: Given) -> str:
    own = EncryptionIdentity(X25519PrivateKey.from_private_bytes(raw(given["private_key"])))
    return own.open(raw(given["sealed"]), given["label"], *tags(given)).hex()


def _verify(given: Given) -> None:
    identity.verify("a", raw(given["public_key"]), raw(given["signature"]), given["label"], *tags(given))


def _paillier_commitment(given: Given) -> str:
    opening = Opening(bytes(32), 1, given["site"], raw(given["nonce"]), raw(given["ciphertexts"]))
    return paillier_sums.commitment(raw(given["context"]), opening).hex()


def _open_offer(given: Given) -> str:
    hellos = tuple(
        Hello(hello["site"], *(raw(hello[name]) for name in ("study_digest", "nonce", "mask_public_key", "signature")))
        for hello in given["hellos"]
    )
    return open_offer(terms(given["terms"]), SessionOffer(raw(given["coordinator_nonce"]), hellos)).id.hex()


def _context(given: Given) -> str:
    request = SimpleNamespace(**{name: given[name] for name in ("number", "length", "participants")})
    request.question = raw(given["question"])
    return Session(raw(given["session_id"]), {}).context(request).hex()


def pouring(values: list[int], bound: int) -> Callable[[int], bytes]:
    """A source of randomness from which ``draw_below(bound, ...)`` draws just these values, in turn."""
    left, unused = list(values), -(bound - 1).bit_length() % 8
    return lambda size: (left.pop(0) << unused).to_bytes(size, "big")


def _key_shares(given: Given) -> list[str]:
    p, q, sites = int(given["p"], 16), int(given["q"], 16), given["sites"]
    coefficients = wholes(given["coefficients"])
    bound = factorial(sites) ** 2 * 2**128 * (p * q) ** 2
    shares = paillier.share(p, q, sites, len(coefficients) + 1, pouring(coefficients, bound))
    return whole_texts(share.secret for share in shares)


def _encrypt(given: Given) -> list[str]:
    key, r = public(given), wholes(given["r"])
    blinders = paillier.prepare(key, len(r), pouring([value - 1 for value in r], key.modulus - 1))
    return whole_texts(paillier.encrypt(key, wholes(given["plaintexts"]), blinders))


def _partial_decrypt(given: Given) -> list[str]:
    share = KeyShare(1, int(given["share"], 16))
    return whole_texts(paillier.partial_decrypt(public(given), share, wholes(given["product"])))


def _combine_partials(given: Given) -> list[str]:
    partials = {int(index): wholes(numbers) for index, numbers in given["partials"].items()}
    return whole_texts(paillier.combine(public(given), given["threshold"], given["sites"], partials))


def _unpack(given: Given) -> str:
    total = paillier.unpack(wholes(given["plaintexts"]), given["length"], given["contributors"], given["modulus_bits"])
    return ring.to_bytes(total).hex()


OPERATIONS: Mapping[str, Callable[[Given], Any]] = {
    "canonical": lambda given: canonical.encode(field(given["value"])).hex(),
    "digest": lambda given: canonical.digest(given["label"], *tags(given)).hex(),
    "question": lambda given: questions.encode(
        question.question_from_pb(message_of("Question", given["question"]))  # type: ignore[arg-type]
    ).hex(),
    "encode": _encode,
    "decode_sum": _decode_sum,
    "from_seed": lambda given: Seed(raw(given["seed"])).derive(given["label"], *tags(given)).hex(),
    "pair_key": lambda given: masks.derive_key(
        raw(given["secret"]), raw(given["session_id"]), raw(given["context"]), tuple(given["pair"]), given["length"]
    ).hex(),
    "self_mask": _self_mask,
    "x25519": lambda given: MaskKey(raw(given["private_key"])).shared_secret("b", raw(given["public_key"])).hex(),
    "expand": lambda given: ring.to_bytes(masks.expand(raw(given["key"]), given["length"])).hex(),
    "pair_masked": _pair_masked,
    "coefficients": lambda given: masks.keystream(raw(given["key"]), 48 * given["count"]).tobytes().hex(),
    "split": _split,
    "combine_shares": lambda given: shamir.combine(
        {int(index): raw(share) for index, share in given["shares"].items()}, given["threshold"]
    ).hex(),
    "seal_share": lambda given: wrapping.seal(raw(given["share"]), *_wrapping(given)).hex(),
    "unseal_share": lambda given: wrapping.unseal(raw(given["sealed"]), *_wrapping(given)).hex(),
    "open_sealed": _open_sealed,
    "sign": lambda given: (
        SigningIdentity.from_private_bytes(raw(given["private_key"])).sign(given["label"], *tags(given)).hex()
    ),
    "verify": _verify,
    "self_commitment": lambda given: tolerant.commitment(
        raw(given["seed"]), raw(given["context"]), given["site"]
    ).hex(),
    "paillier_commitment": _paillier_commitment,
    "open_offer": _open_offer,
    "context": _context,
    "check_cohort": lambda given: terms(given["terms"]).check_cohort(given["before"], given["now"], given["site"]),
    "pack": lambda given: whole_texts(paillier.pack(ring_of(given["elements"]), given["modulus_bits"])),
    "unpack": _unpack,
    "key_shares": _key_shares,
    "encrypt": _encrypt,
    "ciphertexts": lambda given: whole_texts(
        from_bytes(public(given), raw(given["bytes"]), given["count"], "site 'a'")
    ),
    "multiply": lambda given: whole_texts(
        paillier.multiply(public(given), [wholes(each) for each in given["contributions"]])
    ),
    "partial_decrypt": _partial_decrypt,
    "combine_partials": _combine_partials,
    "study_digest": lambda given: Study.parse(given["study"], "study.toml").hexdigest,
    "encode_message": encode_message,
    "decode_message": decode_message,
}
