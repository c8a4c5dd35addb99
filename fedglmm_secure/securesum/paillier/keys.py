"""The Paillier public key, the shares of its secret, and the dealing that makes both.

The secret d (d = 0 mod lambda, d = 1 mod N) decrypts: c^d = 1 + m N mod N^2. It is shared over the integers, since
nobody who holds a share may know lambda: f(0) = Delta d with Delta = n!, the other coefficients uniform below
Delta^2 2^128 N^2, site i holds f(i). Any k shares open a ciphertext (``threshold``); k - 1 of them are, up to a
statistical distance of about 2^-128, independent of d (Shoup 2000, Practical threshold signatures; Damgard and Jurik
2001; Veugen, Attema and Spini 2019, ePrint 2019/1136, whose bounds these are).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import factorial, lcm

import gmpy2
import phe

from fedglmm_secure.choices import LEGACY_PAILLIER_BITS as LEGACY_BITS
from fedglmm_secure.choices import PAILLIER_BITS as BITS
from fedglmm_secure.errors import InputError
from fedglmm_secure.ring import MAX_SITES

Randomness = Callable[[int], bytes]
"""n -> n bytes that nobody can predict: ``secrets.token_bytes`` in the programs."""

SMALL_FACTORS = gmpy2.primorial(2**16)
"""The product of the primes that nobody takes a second to find in a modulus."""

STATISTICAL_BITS = 128
"""The coefficients are this many bits longer than what they hide."""


@dataclass(frozen=True)
class PublicKey:
    """A Paillier modulus N with generator N + 1."""

    modulus: int

    @classmethod
    def from_hex(cls, text: str) -> PublicKey:
        """The key whose modulus is ``text`` in hexadecimal; InputError when that is no odd number."""
        try:
            modulus = int(text, 16)
        except ValueError:
            modulus = 0
        if modulus < 1 or modulus % 2 == 0:
            raise InputError("is not a Paillier modulus, an odd number in hexadecimal; deal the study's key again")
        return cls(modulus)

    @property
    def hex(self) -> str:
        """The modulus in lower-case hexadecimal, as the study has it."""
        return f"{self.modulus:x}"

    @property
    def bits(self) -> int:
        """The bits of the modulus."""
        return self.modulus.bit_length()

    @property
    def ciphertext_bytes(self) -> int:
        """The bytes that hold any ciphertext: 768 at 3072 bits."""
        return (2 * self.bits + 7) // 8

    @cached_property
    def n(self) -> gmpy2.mpz:
        """N, for arithmetic."""
        return gmpy2.mpz(self.modulus)

    @cached_property
    def n_squared(self) -> gmpy2.mpz:
        """N^2, the modulus of the ciphertexts."""
        return self.n * self.n

    @cached_property
    def phe_key(self) -> phe.PaillierPublicKey:
        """The key as phe has it."""
        return phe.PaillierPublicKey(self.modulus)

    def __repr__(self) -> str:
        return f"PublicKey({self.bits} bits, {self.hex[:16]}...)"


def weakness(modulus: int) -> str | None:
    """Why anybody could decrypt under this modulus, where that shows at once; None for p q, and for much else."""
    if gmpy2.gcd(modulus, SMALL_FACTORS) != 1:
        return "has a small factor"
    if gmpy2.is_power(modulus):
        return "is a power of another number"
    return "is a prime" if gmpy2.is_prime(modulus) else None


@dataclass(frozen=True)
class KeyShare:
    """f(index), one site's share of the secret; the index is its place in the roster, from 1. Hidden in ``repr``."""

    index: int
    secret: int = field(repr=False)

    def __post_init__(self) -> None:
        """Raise InputError on what no dealing gives."""
        if not 1 <= self.index <= MAX_SITES or self.secret < 1:
            raise InputError("a key share has an index from 1 and a positive secret; have the study's key dealt again")


def smallest_threshold(sites: int) -> int:
    """floor(n / 2) + 1: no two disjoint sets of sites can both decrypt."""
    return sites // 2 + 1


def deal(
    sites: int, threshold: int, bits: int, randomness: Randomness, *, small_for_tests: bool = False
) -> tuple[PublicKey, tuple[KeyShare, ...]]:
    """A new key and its shares for sites 1 to ``sites``, any ``threshold`` of which decrypt.

    phe draws the primes from the operating system; ``randomness`` draws the polynomial. Nothing that decrypts is
    kept. Raises InputError on a size or threshold that a study may not have.
    """
    if bits not in (BITS, LEGACY_BITS) and not small_for_tests:
        raise InputError(f"a Paillier key has {BITS} bits, or {LEGACY_BITS} as a legacy option, not {bits}")
    public, private = phe.generate_paillier_keypair(n_length=bits)
    return PublicKey(public.n), share(private.p, private.q, sites, threshold, randomness)


def share(p: int, q: int, sites: int, threshold: int, randomness: Randomness) -> tuple[KeyShare, ...]:
    """The shares f(1), ..., f(n) of the key with the primes ``p`` and ``q``; InputError on a wrong threshold."""
    _check_threshold(sites, threshold)
    modulus, carmichael = p * q, lcm(p - 1, q - 1)
    d = carmichael * pow(carmichael, -1, modulus)
    delta = factorial(sites)
    bound = delta**2 * 2**STATISTICAL_BITS * modulus**2
    polynomial = [delta * d, *(draw_below(bound, randomness) for _ in range(threshold - 1))]
    return tuple(KeyShare(index, _value(polynomial, index)) for index in range(1, sites + 1))


def draw_below(bound: int, randomness: Randomness) -> int:
    """A uniform integer of 0 .. bound - 1, by rejection: on average less than two draws."""
    bits = (bound - 1).bit_length()
    while True:
        drawn = int.from_bytes(randomness((bits + 7) // 8), "big") >> (-bits % 8)
        if drawn < bound:
            return drawn


def _check_threshold(sites: int, threshold: int) -> None:
    if not 2 <= sites <= MAX_SITES:
        raise InputError(f"a Paillier key is dealt to 2 to {MAX_SITES} sites, not {sites}")
    if not smallest_threshold(sites) <= threshold <= sites:
        raise InputError(
            f"the threshold of {sites} sites is {smallest_threshold(sites)} to {sites}, not {threshold}: "
            "more than half of them must take part in a decryption"
        )


def _value(polynomial: list[int], at: int) -> int:
    """The polynomial, lowest coefficient first, at an integer (Horner)."""
    total = 0
    for coefficient in reversed(polynomial):
        total = total * at + coefficient
    return total
