"""Decryption by k of n sites: each raises the ciphertext to its share, and k of the powers give the plaintext.

With mu_i = Delta * (Lagrange coefficient of site i at 0), an integer, and Delta = n!, the product of the powers
c^(f(i) mu_i) is c^(Delta^2 d) = 1 + Delta^2 m N mod N^2 (Shoup 2000, section 5.2; Damgard and Jurik 2001, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import factorial, gcd, prod

import gmpy2

from fedglmm_secure.errors import PeerError
from fedglmm_secure.securesum.paillier.encryption import check_ciphertexts, in_threads
from fedglmm_secure.securesum.paillier.keys import KeyShare, PublicKey


def partial_decrypt(public: PublicKey, share: KeyShare, ciphertexts: Sequence[int]) -> list[int]:
    """c^f(i) mod N^2 of each ciphertext, in time that does not depend on the share's bits.

    The caller has seen to it that the ciphertexts are a product that may be opened. Raises PeerError for what is
    no ciphertext.
    """
    check_ciphertexts(public, ciphertexts, "the product")
    exponent = gmpy2.mpz(share.secret)
    return in_threads(lambda c: int(gmpy2.powmod_sec(c, exponent, public.n_squared)), ciphertexts)


def combine(public: PublicKey, threshold: int, sites: int, partials: Mapping[int, Sequence[int]]) -> list[int]:
    """The plaintexts, from the partial decryptions of at least ``threshold`` of the ``sites``, by share index.

    Those of the lowest indices are used. Raises PeerError when there are too few, when they differ in length, or
    when they do not open: one is wrong, or of another ciphertext.
    """
    indices = sorted(partials)[:threshold]
    if len(indices) < threshold or not all(1 <= index <= sites for index in partials):
        raise PeerError(f"a decryption takes {threshold} of the {sites} sites, not sites {sorted(partials)}")
    if len({len(partials[index]) for index in indices}) != 1:
        raise PeerError("the partial decryptions of the sites differ in length; they are not of the same sum")
    for index in indices:
        check_ciphertexts(public, partials[index], f"the partial decryption {index}")
    delta = factorial(sites)
    scaled = lagrange(indices, delta)
    # Left out of every exponent, as it is Delta itself, and most of the work, when the indices are 1 .. k.
    common = gcd(*scaled.values())
    powers = {index: coefficient // common for index, coefficient in scaled.items()}
    inverse = gmpy2.invert(delta**2 // common, public.n)

    def at(place: int) -> int:
        return _open(public, {index: partials[index][place] for index in indices}, powers, inverse)

    return in_threads(at, range(len(partials[indices[0]])))


def lagrange(indices: Sequence[int], delta: int) -> dict[int, int]:
    """delta * prod_(j != i) j / (j - i) for each i of ``indices``: integers, as they lie in 1 .. n and delta is n!."""
    coefficients = {}
    for i in indices:
        others = [j for j in indices if j != i]
        coefficients[i] = delta * prod(others) // prod(j - i for j in others)
    return coefficients


def _open(public: PublicKey, partials: Mapping[int, int], powers: Mapping[int, int], inverse: gmpy2.mpz) -> int:
    above = below = gmpy2.mpz(1)
    for index, power in powers.items():
        raised = gmpy2.powmod(partials[index], abs(power), public.n_squared)
        if power > 0:
            above = above * raised % public.n_squared
        else:
            below = below * raised % public.n_squared
    opened = above * gmpy2.invert(below, public.n_squared) % public.n_squared
    quotient, remainder = gmpy2.f_divmod(opened - 1, public.n)
    if remainder:
        raise PeerError(
            "the sum was not opened: the partial decryptions do not fit together; a site used another key share, or "
            "another product of ciphertexts"
        )
    return int(quotient * inverse % public.n)
