"""Packing and threshold Paillier: ``docs/protocol.md``, "Threshold Paillier"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import factorial, gcd, lcm, prod

from tests.vectors.independent.masking import SCALE, signed
from tests.vectors.independent.refusal import require

OFFSET = 2**87
SLOT_BITS = 96


def slots(modulus_bits: int) -> int:
    """Slots a plaintext."""
    return (modulus_bits - 1) // SLOT_BITS


def plaintexts_for(length: int, modulus_bits: int) -> int:
    """Plaintexts a vector."""
    return -(-length // slots(modulus_bits))


def pack(elements: Sequence[int], modulus_bits: int) -> list[int]:
    """A contribution's plaintexts."""
    values = [signed(element) + OFFSET for element in elements]
    require(all(0 < value < 2**88 for value in values), "QuantityError", "does not fit a slot")
    count, each = plaintexts_for(len(values), modulus_bits), slots(modulus_bits)
    values += [OFFSET] * (count * each - len(values))
    return [
        sum(value << SLOT_BITS * place for place, value in enumerate(values[start : start + each]))
        for start in range(0, len(values), each)
    ]


def unpack(plaintexts: Sequence[int], length: int, contributors: int, modulus_bits: int) -> list[int]:
    """The sums (elements) in the plaintexts of a product, with every check of their form."""
    each = slots(modulus_bits)
    require(1 <= contributors <= 255, "PeerError", "1 to 255 contributors")
    require(len(plaintexts) == plaintexts_for(length, modulus_bits), "PeerError", "another number of plaintexts")
    require(all(m < 1 << SLOT_BITS * each for m in plaintexts), "PeerError", "bits above the slots")
    values = [m >> SLOT_BITS * place & 2**SLOT_BITS - 1 for m in plaintexts for place in range(each)]
    require(all(v == contributors * OFFSET for v in values[length:]), "PeerError", "the padding is wrong")
    require(all(contributors <= v <= contributors * (2**88 - 1) for v in values), "PeerError", "out of range")
    sums = [value - contributors * OFFSET for value in values[:length]]
    require(sums[0] == contributors * SCALE, "PeerError", "does not count the contributors")
    return [value % 2**128 for value in sums]


def key_shares(p: int, q: int, sites: int, coefficients: Sequence[int]) -> list[int]:
    """f(1) .. f(n)."""
    modulus, carmichael = p * q, lcm(p - 1, q - 1)
    d = carmichael * pow(carmichael, -1, modulus)
    polynomial = [factorial(sites) * d, *coefficients]
    return [sum(c * x**power for power, c in enumerate(polynomial)) for x in range(1, sites + 1)]


def width(modulus: int) -> int:
    """The bytes of a ciphertext: as many as N^2 can have."""
    return -(-2 * modulus.bit_length() // 8)


def encrypt(modulus: int, plaintext: int, r: int) -> int:
    """(1 + m N) r^N mod N^2."""
    square = modulus * modulus
    return (1 + plaintext * modulus) * pow(r, modulus, square) % square


def to_bytes(modulus: int, numbers: Sequence[int]) -> bytes:
    """Big-endian, one after the other."""
    return b"".join(number.to_bytes(width(modulus), "big") for number in numbers)


def ciphertexts(modulus: int, data: bytes, count: int) -> list[int]:
    """The checked ciphertexts in ``data``."""
    size = width(modulus)
    require(len(data) == count * size, "PeerError", "another number of ciphertexts")
    numbers = [int.from_bytes(data[i : i + size], "big") for i in range(0, len(data), size)]
    check(modulus, numbers)
    return numbers


def check(modulus: int, numbers: Sequence[int]) -> None:
    """Each in 1 .. N^2 - 1 and coprime to N."""
    require(all(0 < c < modulus**2 for c in numbers), "PeerError", "out of range")
    require(all(gcd(c, modulus) == 1 for c in numbers), "PeerError", "not coprime to N")


def multiply(modulus: int, contributions: Sequence[Sequence[int]]) -> list[int]:
    """The product, place by place."""
    require(len({len(each) for each in contributions}) == 1, "PeerError", "differ in length")
    return [prod(column) % modulus**2 for column in zip(*contributions, strict=True)]


def partial_decrypt(modulus: int, share: int, product: Sequence[int]) -> list[int]:
    """product^f(x)."""
    check(modulus, product)
    return [pow(c, share, modulus**2) for c in product]


def combine(modulus: int, threshold: int, sites: int, partials: Mapping[int, Sequence[int]]) -> list[int]:
    """The plaintexts, from the partial decryptions of the ``threshold`` lowest indices."""
    require(len(partials) >= threshold, "PeerError", "too few partial decryptions")
    used, delta, square = sorted(partials)[:threshold], factorial(sites), modulus**2
    for index in used:
        check(modulus, partials[index])
    require(len({len(partials[index]) for index in used}) == 1, "PeerError", "differ in length")
    opened = []
    for place in range(len(partials[used[0]])):
        total = 1
        for x in used:
            others = [y for y in used if y != x]
            mu = delta * prod(others) // prod(y - x for y in others)
            total = total * pow(partials[x][place], mu, square) % square
        quotient, remainder = divmod(total - 1, modulus)
        require(remainder == 0, "PeerError", "do not fit together")
        opened.append(quotient * pow(delta, -2, modulus) % modulus)
    return opened
