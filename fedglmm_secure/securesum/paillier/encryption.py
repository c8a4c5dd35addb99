"""Encryption under the public key: c = (1 + m N) r^N mod N^2, with the r^N prepared ahead (Paillier 1999).

Preparing an r^N is one long exponentiation; encrypting with it is one multiplication. Who knows the r^N of a
ciphertext reads it, so each is used once, hidden, and forgotten.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce

import gmpy2

from fedglmm_secure.errors import PeerError
from fedglmm_secure.securesum.paillier.keys import PublicKey, Randomness, draw_below

THREADS = os.cpu_count() or 1


class Blinders:
    """The r^N that one site has prepared, for a thread that prepares and another that takes. ``repr`` hides them."""

    def __init__(self, public: PublicKey, randomness: Randomness) -> None:
        """Start with none."""
        self._public, self._randomness = public, randomness
        self._ready: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._ready)

    def prepare(self, count: int) -> None:
        """Have ``count`` ready: what a driver calls in the background between rounds."""
        while (missing := count - len(self._ready)) > 0:  # in small steps, so that ``take`` finds what is done
            self._ready.extend(prepare(self._public, min(missing, THREADS), self._randomness))

    def take(self, count: int) -> list[int]:
        """``count`` that were never given before; those that are not ready are made now."""
        taken = [self._ready.popleft() for _ in range(min(count, len(self._ready)))]
        return taken + prepare(self._public, count - len(taken), self._randomness)

    def __repr__(self) -> str:
        return f"Blinders({len(self)} ready)"


def prepare(public: PublicKey, count: int, randomness: Randomness) -> list[int]:
    """``count`` values of r^N mod N^2, r uniform in 1 .. N - 1 (coprime to N but for the chance of factoring it)."""
    drawn = [1 + draw_below(public.modulus - 1, randomness) for _ in range(count)]
    return in_threads(lambda r: int(gmpy2.powmod(r, public.n, public.n_squared)), drawn)


def encrypt(public: PublicKey, plaintexts: Sequence[int], blinders: Sequence[int]) -> list[int]:
    """The ciphertexts of ``plaintexts`` (each 0 .. N - 1), one fresh blinder each; ValueError for another number.

    phe's raw encryption with r = 1 is 1 + m N; what hides it is the blinder.
    """
    return [
        int(public.phe_key.raw_encrypt(plaintext, r_value=1) * gmpy2.mpz(blinder) % public.n_squared)
        for plaintext, blinder in zip(plaintexts, blinders, strict=True)
    ]


def multiply(public: PublicKey, contributions: Iterable[Sequence[int]]) -> list[int]:
    """The ciphertexts of the sums: the product of the contributions, place by place.

    Raises PeerError when the contributions differ in length, or there are none.
    """
    vectors = list(contributions)
    lengths = {len(ciphertexts) for ciphertexts in vectors}
    if len(lengths) != 1:
        raise PeerError(f"the contributions to a sum differ in length: {sorted(lengths)} ciphertexts")
    product = [gmpy2.mpz(1)] * lengths.pop()
    for ciphertexts in vectors:
        product = [
            total * ciphertext % public.n_squared for total, ciphertext in zip(product, ciphertexts, strict=True)
        ]
    return [int(total) for total in product]


def check_ciphertexts(public: PublicKey, ciphertexts: Sequence[int], whose: str) -> None:
    """Raise PeerError, naming ``whose`` they are, unless each is in 1 .. N^2 - 1 and coprime to N."""
    if not all(0 < ciphertext < public.n_squared for ciphertext in ciphertexts):
        raise PeerError(f"a ciphertext of {whose} is not below the square of the study's Paillier modulus")
    product = reduce(lambda total, ciphertext: total * ciphertext % public.n, ciphertexts, gmpy2.mpz(1))
    if gmpy2.gcd(product, public.n) != 1:
        raise PeerError(f"a ciphertext of {whose} shares a factor with the study's Paillier modulus")


def to_bytes(public: PublicKey, ciphertexts: Iterable[int]) -> bytes:
    """``public.ciphertext_bytes`` bytes each, big-endian."""
    return b"".join(ciphertext.to_bytes(public.ciphertext_bytes, "big") for ciphertext in ciphertexts)


def from_bytes(public: PublicKey, data: bytes, count: int, whose: str) -> list[int]:
    """The ``count`` ciphertexts in ``data``, checked; PeerError for another length or what is no ciphertext."""
    size = public.ciphertext_bytes
    if len(data) != count * size:
        raise PeerError(f"{count} ciphertexts of {whose} take {count * size} bytes, not {len(data)}")
    ciphertexts = [int.from_bytes(data[start : start + size], "big") for start in range(0, len(data), size)]
    check_ciphertexts(public, ciphertexts, whose)
    return ciphertexts


def in_threads(function: Callable[[int], int], numbers: Sequence[int]) -> list[int]:
    """``function`` of each number, on all cores: GMP lets other threads run where gmpy2's context allows it."""

    def released(number: int) -> int:
        with gmpy2.context(gmpy2.get_context(), allow_release_gil=True):
            return function(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(released, numbers))
