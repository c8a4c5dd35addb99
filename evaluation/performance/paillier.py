"""A sum under threshold Paillier: packed slots against one number a ciphertext, as phe's EncryptedNumber has it.

    python evaluation/performance/paillier.py

One-number-a-ciphertext is timed on a sample of the numbers and scaled to all of them. Sites work at the same time, so
a step that every site takes counts once.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from functools import reduce
from operator import add
from typing import TypeVar

import numpy as np
import phe
from rich.console import Console
from rich.table import Table

from fedglmm_secure import ring
from fedglmm_secure.securesum import paillier
from fedglmm_secure.securesum.paillier import KeyShare, PublicKey

SITES = 4
SAMPLE = 8
"""Numbers that are encrypted one by one."""

Seconds = dict[str, float]
Result = TypeVar("Result")


def packed_against_phe(numbers: int = 254, bits: int = paillier.BITS) -> Table:
    """Time and bytes of a sum of ``numbers`` numbers (the count among them), and what one number a ciphertext takes."""
    public, private = phe.generate_paillier_keypair(n_length=bits)
    threshold = paillier.smallest_threshold(SITES)
    shares = paillier.share(private.p, private.q, SITES, threshold, secrets.token_bytes)
    vectors = np.random.default_rng(0).normal(size=(SITES, numbers))
    vectors[:, 0] = 1.0
    ours = _packed(PublicKey(public.n), shares, vectors)
    alone = {step: spent * numbers / SAMPLE for step, spent in _one_by_one(public, private, shares, vectors).items()}
    ahead, sums = ours["r^N"], ours["encrypt"] + ours["multiply"] + ours["decrypt"] + ours["combine"]
    threshold_alone = alone["encrypt"] + alone["multiply"] + alone["decrypt"] + alone["combine"]
    key_alone = alone["encrypt"] + alone["multiply"] + alone["whole key"]
    size = PublicKey(public.n).ciphertext_bytes
    packed_bytes, alone_bytes = paillier.plaintexts_for(numbers, bits) * size, numbers * size
    table = Table(
        title=f"{numbers} numbers, {SITES} sites of which {threshold} decrypt, {bits} bits; one number a ciphertext "
        f"is scaled from {SAMPLE}",
        title_justify="left",
    )
    for column in ("", "packed, ms", "one a ciphertext, ms", "ratio"):
        table.add_column(column, justify="left" if not column else "right")
    for step, packed, single in (
        ("r^N of a site (packed: may be ready before)", ahead, None),
        ("encryption by a site (one a ciphertext: with r^N)", ours["encrypt"], alone["encrypt"]),
        ("product of all sites' ciphertexts", ours["multiply"], alone["multiply"]),
        ("partial decryption by a site", ours["decrypt"], alone["decrypt"]),
        ("combination by the coordinator", ours["combine"], alone["combine"]),
        ("whole sum, r^N ready", sums, threshold_alone),
        ("whole sum with r^N", sums + ahead, threshold_alone),
        ("whole sum, r^N ready; phe decrypting with the whole key", sums, key_alone),
        ("whole sum with r^N; phe decrypting with the whole key", sums + ahead, key_alone),
    ):
        ratio = "" if single is None else f"{single / packed:.0f}"
        table.add_row(step, f"{1e3 * packed:.1f}", "" if single is None else f"{1e3 * single:.0f}", ratio)
    table.add_row("bytes of a contribution", f"{packed_bytes}", f"{alone_bytes}", f"{alone_bytes / packed_bytes:.0f}")
    return table


def _packed(public: PublicKey, shares: tuple[KeyShare, ...], vectors: np.ndarray) -> Seconds:
    """Seconds of each step as the protocol takes it; the sum is checked."""
    spent: Seconds = {}
    numbers, threshold = vectors.shape[1], paillier.smallest_threshold(SITES)
    encoded = [ring.encode(vector, ["number"] * numbers) for vector in vectors]
    count = paillier.plaintexts_for(numbers, public.bits)
    sent = []
    for row in encoded:
        blinders = _timed(spent, "r^N", paillier.prepare, public, count, secrets.token_bytes)
        sent.append(_timed(spent, "encrypt", _encrypt, public, row, blinders))
    product = _timed(spent, "multiply", paillier.multiply, public, sent)
    partials = {
        share.index: _timed(spent, "decrypt", paillier.partial_decrypt, public, share, product) for share in shares
    }
    plaintexts = _timed(spent, "combine", paillier.combine, public, threshold, SITES, partials)
    opened = paillier.unpack(plaintexts, numbers, SITES, public.bits)
    assert np.array_equal(opened, reduce(ring.add, encoded))
    return spent


def _encrypt(public: PublicKey, row: ring.Ring, blinders: list[int]) -> list[int]:
    return paillier.encrypt(public, paillier.pack(row, public.bits), blinders)


def _one_by_one(
    public: phe.PaillierPublicKey, private: phe.PaillierPrivateKey, shares: tuple[KeyShare, ...], vectors: np.ndarray
) -> Seconds:
    """Seconds of each step for SAMPLE numbers, encrypted by phe as floats; opened by shares, and by the whole key."""
    spent: Seconds = {}
    key, threshold = PublicKey(public.n), paillier.smallest_threshold(SITES)
    sample = vectors[:, -SAMPLE:].tolist()
    sent = [_timed(spent, "encrypt", lambda row: [public.encrypt(x) for x in row], row) for row in sample]
    totals = _timed(spent, "multiply", lambda: [reduce(add, column) for column in zip(*sent, strict=True)])
    ciphertexts = [total.ciphertext(be_secure=False) for total in totals]
    partials = {
        share.index: _timed(spent, "decrypt", paillier.partial_decrypt, key, share, ciphertexts) for share in shares
    }
    opened = _timed(spent, "combine", paillier.combine, key, threshold, SITES, partials)
    assert opened == [private.raw_decrypt(ciphertext) for ciphertext in ciphertexts]
    decrypted = _timed(spent, "whole key", lambda: [private.decrypt(total) for total in totals])
    assert np.allclose(decrypted, np.sum(sample, axis=0))
    return spent


def _timed(spent: Seconds, step: str, work: Callable[..., Result], *arguments: object) -> Result:
    """``work(*arguments)``; its seconds are kept under ``step``, the least of them when it is timed more than once."""
    began = time.perf_counter()
    result = work(*arguments)
    spent[step] = min(spent.get(step, float("inf")), time.perf_counter() - began)
    return result


if __name__ == "__main__":
    Console(width=120).print(packed_against_phe())
