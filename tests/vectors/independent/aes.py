"""AES-256 (FIPS 197) in counter mode (SP 800-38A) and Galois/counter mode (SP 800-38D). Slow, and not for secrets."""

from __future__ import annotations

from functools import cache

from tests.vectors.independent.refusal import Refused


def _times_x(a: int) -> int:
    """a * x in GF(2^8), modulo x^8 + x^4 + x^3 + x + 1."""
    return (a << 1) ^ (0x11B if a & 0x80 else 0)


def _make_sbox() -> list[int]:
    """The multiplicative inverse, then the affine map (FIPS 197, section 5.1.1)."""
    powers = [1]  # of the generator x + 1
    while len(powers) < 255:
        powers.append(_times_x(powers[-1]) ^ powers[-1])
    inverse = {0: 0, **{power: powers[-i % 255] for i, power in enumerate(powers)}}
    box = []
    for value in range(256):
        b = inverse[value]
        rotated = [(b << i | b >> (8 - i)) & 255 for i in range(5)]
        box.append(rotated[0] ^ rotated[1] ^ rotated[2] ^ rotated[3] ^ rotated[4] ^ 0x63)
    return box


SBOX = _make_sbox()
TWICE = [_times_x(a) for a in range(256)]
SHIFTED = [4 * ((column + row) % 4) + row for column in range(4) for row in range(4)]
"""Where the byte at each place of the state comes from in ShiftRows; the state is column by column."""


@cache
def _round_keys(key: bytes) -> list[bytes]:
    """KeyExpansion with Nk = 8: 15 keys of 16 bytes."""
    words, constant = [key[i : i + 4] for i in range(0, 32, 4)], 1
    while len(words) < 60:
        word = words[-1]
        if len(words) % 8 == 0:
            word = bytes(SBOX[b] for b in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _times_x(constant)
        elif len(words) % 8 == 4:
            word = bytes(SBOX[b] for b in word)
        words.append(bytes(a ^ b for a, b in zip(words[-8], word, strict=True)))
    return [b"".join(words[i : i + 4]) for i in range(0, 60, 4)]


def encrypt_block(key: bytes, block: bytes) -> bytes:
    """Cipher(): 14 rounds, the last without MixColumns."""
    first, *others = _round_keys(key)
    state = [a ^ b for a, b in zip(block, first, strict=True)]
    for number, round_key in enumerate(others, 1):
        state = [SBOX[state[place]] for place in SHIFTED]
        if number < 14:
            state = [byte for i in range(0, 16, 4) for byte in _mix(state[i : i + 4])]
        state = [a ^ b for a, b in zip(state, round_key, strict=True)]
    return bytes(state)


def _mix(column: list[int]) -> list[int]:
    a, b, c, d = column
    every = a ^ b ^ c ^ d
    return [x ^ every ^ TWICE[x ^ y] for x, y in ((a, b), (b, c), (c, d), (d, a))]


def keystream(key: bytes, size: int) -> bytes:
    """The first ``size`` bytes in counter mode from an IV of 16 zero bytes."""
    return b"".join(encrypt_block(key, i.to_bytes(16, "big")) for i in range(-(-size // 16)))[:size]


def gcm_seal(key: bytes, nonce: bytes, content: bytes, associated: bytes) -> bytes:
    """Ciphertext and 16-byte tag; ``nonce`` has 12 bytes."""
    sealed = _gcm_stream(key, nonce, content)
    return sealed + _gcm_tag(key, nonce, sealed, associated)


def gcm_open(key: bytes, nonce: bytes, sealed: bytes, associated: bytes, error: str = "PeerError") -> bytes:
    """The content; Refused unless the tag is right."""
    content, tag = sealed[:-16], sealed[-16:]
    if len(sealed) < 16 or _gcm_tag(key, nonce, content, associated) != tag:
        raise Refused(error, "the tag is wrong")
    return _gcm_stream(key, nonce, content)


def _gcm_stream(key: bytes, nonce: bytes, content: bytes) -> bytes:
    """Counter mode from 2, as 1 is for the tag."""
    blocks = [encrypt_block(key, nonce + i.to_bytes(4, "big")) for i in range(2, 2 + -(-len(content) // 16))]
    return bytes(a ^ b for a, b in zip(content, b"".join(blocks), strict=False))


def _gcm_tag(key: bytes, nonce: bytes, content: bytes, associated: bytes) -> bytes:
    h = int.from_bytes(encrypt_block(key, bytes(16)), "big")
    lengths = (8 * len(associated)).to_bytes(8, "big") + (8 * len(content)).to_bytes(8, "big")
    total = 0
    for part in (associated, content, lengths):
        for start in range(0, len(part), 16):
            total = _gcm_times(total ^ int.from_bytes(part[start : start + 16].ljust(16, b"\0"), "big"), h)
    hidden = int.from_bytes(encrypt_block(key, nonce + b"\0\0\0\1"), "big")
    return (total ^ hidden).to_bytes(16, "big")


def _gcm_times(x: int, y: int) -> int:
    """Multiplication in GF(2^128), bits in GCM's order (algorithm 1)."""
    product = 0
    for place in range(127, -1, -1):
        if x >> place & 1:
            product ^= y
        y = y >> 1 ^ (0xE1 << 120 if y & 1 else 0)
    return product
