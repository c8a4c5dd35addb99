"""Session id, context and mask against an independent computation with hashlib and hmac alone."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fedglmm_secure import ring
from fedglmm_secure.securesum.masking.masks import derive_key, expand, pair_mask


def field(letter: bytes, content: bytes) -> bytes:
    return letter + len(content).to_bytes(8, "big") + content


def text(value: str) -> bytes:
    return field(b"s", value.encode())


def number(value: int) -> bytes:
    return field(b"i", str(value).encode())


def listed(*fields: bytes) -> bytes:
    return field(b"l", b"".join(fields))


def hkdf(secret: bytes, salt: bytes, info: bytes) -> bytes:
    extracted = hmac.new(salt, secret, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


SECRET, SESSION, CONTEXT = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32


def test_mask_key_is_hkdf_of_the_documented_info():
    info = listed(text("fedglmm/masking/v1/pair"), field(b"b", CONTEXT), text("alpha"), text("beta"), number(5))
    derived = derive_key(SECRET, SESSION, CONTEXT, ("alpha", "beta"), 5)
    assert derived == hkdf(SECRET, SESSION, info)
    assert derived.hex() == KNOWN_KEY


def test_mask_is_the_aes_keystream_in_little_endian():
    key = bytes.fromhex(KNOWN_KEY)
    block = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()
    stream = b"".join(block.update(counter.to_bytes(16, "big")) for counter in range(5))
    assert ring.to_bytes(expand(key, 5)) == stream
    assert ring.to_bytes(pair_mask(SECRET, SESSION, CONTEXT, ("alpha", "beta"), 5)) == stream


def test_session_id_and_context_are_of_the_documented_fields(opened):
    terms, offer = opened.terms, opened.offer
    roster = listed(*(listed(text(name), field(b"b", key)) for name, key in terms.roster))
    fresh = listed(*(listed(field(b"b", h.nonce), field(b"b", h.mask_public_key)) for h in offer.hellos))
    session_id = hashlib.sha256(
        listed(
            text("fedglmm/securesum/v2/session"),
            text("fedglmm/securesum/v2"),
            text("masking"),
            field(b"b", terms.study_digest),
            roster,
            listed(number(44), number(43), number(128)),
            number(3),
            number(0),
            number(3),
            number(0),
            text("wait"),
            number(0),
            field(b"b", offer.coordinator_nonce),
            fresh,
        )
    ).digest()
    assert opened.sites["alpha"].session_id == opened.coordinator.session_id == session_id

    request = opened.ask()
    question = hashlib.sha256(listed(text("fedglmm/securesum/v1/question"), field(b"b", request.question))).digest()
    context = hashlib.sha256(
        listed(
            text("fedglmm/securesum/v2/sum"),
            field(b"b", session_id),
            number(1),
            field(b"b", question),
            number(3),
            listed(text("alpha"), text("beta"), text("gamma")),
        )
    ).digest()
    site = opened.sites["alpha"]
    site.receive(request)
    assert site.answer(np.zeros(2), ("first", "second")).record.context == context


def test_hello_signs_the_documented_fields(opened, signing_of):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    for hello in opened.offer.hellos:
        signed = listed(
            text("fedglmm/securesum/v1/hello"),
            field(b"b", hello.study_digest),
            text(hello.site),
            field(b"b", hello.nonce),
            field(b"b", hello.mask_public_key),
        )
        public = Ed25519PublicKey.from_public_bytes(signing_of(hello.site).public_bytes)
        public.verify(hello.signature, signed)


def test_a_is_added_and_b_subtracts(opened):
    """The whole of a contribution, recomputed by hand with Python integers for one site of three."""
    request = opened.ask()
    site = opened.sites["beta"]
    site.receive(request)
    step = site.answer(np.array([1.5, -2.0]), ("first", "second"))
    record, sent = step.record, step.message
    plain = [1 << 44, 3 << 43, -(1 << 45)]
    secrets = site._side._secrets
    toward_gamma = integers(pair_mask(secrets["gamma"], site.session_id, record.context, ("beta", "gamma"), 3))
    toward_alpha = integers(pair_mask(secrets["alpha"], site.session_id, record.context, ("alpha", "beta"), 3))
    expected = [(x + g - a) % 2**128 for x, g, a in zip(plain, toward_gamma, toward_alpha, strict=True)]
    assert sent.vector == b"".join(value.to_bytes(16, "little") for value in expected)


def integers(elements: ring.Ring) -> list[int]:
    return [int(low) + (int(high) << 64) for low, high in elements]


KNOWN_KEY = "82d2f76ae143c18a2a6f6639f21ed00980afeb0f06d545fc155bf9009260673c"
