"""A small key, dealt to five sites of which three decrypt; its primes are kept, for phe's own decryption."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import phe
import pytest

from fedglmm_secure.securesum import paillier
from fedglmm_secure.securesum.paillier import KeyShare, PublicKey

BITS = 512


@dataclass(frozen=True)
class Dealt:
    public: PublicKey
    shares: tuple[KeyShare, ...]
    private: phe.PaillierPrivateKey
    sites: int = 5
    threshold: int = 3

    def encrypted(self, *plaintexts: int) -> list[int]:
        blinders = paillier.prepare(self.public, len(plaintexts), secrets.token_bytes)
        return paillier.encrypt(self.public, plaintexts, blinders)

    def partials(self, ciphertexts: list[int], *indices: int) -> dict[int, list[int]]:
        return {i: paillier.partial_decrypt(self.public, self.shares[i - 1], ciphertexts) for i in indices}

    def combined(self, partials: dict[int, list[int]]) -> list[int]:
        return paillier.combine(self.public, self.threshold, self.sites, partials)


@pytest.fixture(scope="session")
def dealt() -> Dealt:
    public, private = phe.generate_paillier_keypair(n_length=BITS)
    shares = paillier.share(private.p, private.q, 5, 3, secrets.token_bytes)
    return Dealt(PublicKey(public.n), shares, private)
