"""Cases of packing and of threshold Paillier, with a key so small that each number fits a line."""

from __future__ import annotations

from collections.abc import Iterator
from math import factorial
from typing import Any

from tests.vectors.cases import Case, drawn
from tests.vectors.forms import element_text, whole_texts
from tests.vectors.independent import paillier

P = 0xD48DE9C5A7A44D19E56CD9AE1A554BF67847AFB0C58F6E12FA29AC7DDFCA996F
Q = 0xCE35C2CD3BF6641BDB0E2050B76932CBB2E6034A0DDACC1D9BEA82A6BA57F939
SITES, THRESHOLD = 5, 3
ONE, LARGEST = 1 << 44, 2**87 - 1
BITS = 512


def _whole(text: str, below: int) -> int:
    return int.from_bytes(drawn(text, below.bit_length() // 8 + 16), "big") % below


MODULUS = P * Q
COEFFICIENTS = [_whole(f"coefficient {i}", factorial(SITES) ** 2 * 2**128 * MODULUS**2) for i in (1, 2)]
SHARES = paillier.key_shares(P, Q, SITES, COEFFICIENTS)


def packing_cases() -> Iterator[Case]:
    vectors = {
        "one_number": [ONE], "a_full_plaintext": [ONE, 0, -1, LARGEST, -LARGEST],
        "two_plaintexts": [ONE, 1, 2, 3, 4, -5], "negative": [ONE, -ONE, -(3 << 43)],
    }  # fmt: skip
    for name, numbers in vectors.items():
        given = {"elements": element_text(numbers), "modulus_bits": BITS}
        yield Case(f"pack_{name}", "pack", given)
    for bits in (2048, 3072):
        numbers = [ONE, *(i * (-1) ** i * 7**20 for i in range(1, 33))]
        yield Case(f"pack_{bits}_bits", "pack", {"elements": element_text(numbers), "modulus_bits": bits})
    for name, number in {"above": 2**87, "below": -(2**87), "masked": 2**120}.items():
        given = {"elements": element_text([ONE, 0, number]), "modulus_bits": BITS}
        yield Case(f"pack_bad_{name}", "pack", given, "QuantityError", "number 3 of the answer does not fit a slot")
    yield from _unpack_cases()


def _unpack_cases() -> Iterator[Case]:
    def summed(contributions: list[list[int]]) -> list[int]:
        packed = [paillier.pack([x % 2**128 for x in numbers], BITS) for numbers in contributions]
        return [sum(column) for column in zip(*packed, strict=True)]

    def asked(plaintexts: list[int], length: int, contributors: int) -> dict[str, Any]:
        texts = whole_texts(plaintexts)
        return {"plaintexts": texts, "length": length, "contributors": contributors, "modulus_bits": BITS}

    numbers = [ONE, LARGEST, -LARGEST, 0, 5, -6, 7]
    yield Case("unpack_of_one", "unpack", asked(summed([numbers]), 7, 1))
    yield Case("unpack_carries_of_255", "unpack", asked(summed([numbers] * 255), 7, 255))
    three = summed([numbers, [ONE, -LARGEST, LARGEST, 1, 1, 1, 1], [ONE, 0, 0, -1, -1, -1, -1]])
    yield Case("unpack_of_3", "unpack", asked(three, 7, 3))
    slot = 2**96
    wrong = {
        "bits_above_the_slots": ([three[0] + slot**5, three[1]], 7, 3, "bits above its slots"),
        "padding": ([three[0], three[1] + slot**2], 7, 3, "padding is not that of the contributions"),
        "a_slot_too_large": ([three[0] + slot * 2**94, three[1]], 7, 3, "outside the range of its contributions"),
        "a_slot_below_zero": ([three[0] - slot**3 * (three[0] // slot**3 % slot), three[1]], 7, 3, "outside the range"),
        "one_contributor_less": (three, 7, 2, "not opened"),
        "count_of_another_number": ([three[0] + 1, three[1]], 7, 3, "does not count 3 contributors"),
        "too_few_plaintexts": (three[:1], 7, 3, "1 plaintexts do not hold 7 numbers"),
        "too_many_plaintexts": ([*three, 0], 7, 3, "3 plaintexts do not hold 7 numbers"),
        "no_contributors": (three, 7, 0, "1 to 255 contributors"),
        "too_many_contributors": (three, 7, 256, "1 to 255 contributors"),
    }
    for name, (plaintexts, length, contributors, sentence) in wrong.items():
        yield Case(f"unpack_bad_{name}", "unpack", asked(plaintexts, length, contributors), "PeerError", sentence)


def threshold_cases() -> Iterator[Case]:
    key = {"p": hex(P), "q": hex(Q), "sites": SITES, "coefficients": whole_texts(COEFFICIENTS)}
    yield Case("key_shares", "key_shares", key)
    plaintexts = [[0, 1, MODULUS - 1], [7, _whole("m", MODULUS), 1]]
    r = [[_whole(f"r {i} {j}", MODULUS - 1) + 1 for j in range(3)] for i in range(2)]
    modulus = {"modulus": hex(MODULUS)}
    sent = []
    for i in range(2):
        given = {**modulus, "plaintexts": whole_texts(plaintexts[i]), "r": whole_texts(r[i])}
        yield Case(f"encrypt_{i + 1}", "encrypt", given)
        sent.append([paillier.encrypt(MODULUS, m, x) for m, x in zip(plaintexts[i], r[i], strict=True)])
    yield Case("multiply", "multiply", {**modulus, "contributions": [whole_texts(each) for each in sent]})
    unequal = [whole_texts(sent[0]), whole_texts(sent[1][:2])]
    yield Case(
        "multiply_bad_lengths", "multiply", {**modulus, "contributions": unequal}, "PeerError", "differ in length"
    )
    product = paillier.multiply(MODULUS, sent)
    for x in range(1, SITES + 1):
        given = {**modulus, "share": hex(SHARES[x - 1]), "product": whole_texts(product)}
        yield Case(f"partial_decrypt_{x}", "partial_decrypt", given)
    yield from _combine_cases(product)
    yield from _ciphertext_cases(product)


def _combine_cases(product: list[int]) -> Iterator[Case]:
    partials = {x: paillier.partial_decrypt(MODULUS, SHARES[x - 1], product) for x in range(1, SITES + 1)}

    def asked(given: dict[int, list[int]], threshold: int = THRESHOLD) -> dict[str, Any]:
        texts = {str(x): whole_texts(numbers) for x, numbers in given.items()}
        return {"modulus": hex(MODULUS), "threshold": threshold, "sites": SITES, "partials": texts}

    def of(*indices: int) -> dict[int, list[int]]:
        return {x: partials[x] for x in indices}

    for name, indices in {
        "k": (1, 2, 3),
        "k_others": (2, 4, 5),
        "k_plus_1": (1, 3, 4, 5),
        "all": (1, 2, 3, 4, 5),
    }.items():
        yield Case(f"combine_{name}", "combine_partials", asked(of(*indices)))
    fit = "do not fit together"
    yield Case(
        "combine_bad_k_minus_1", "combine_partials", asked(of(1, 4)), "PeerError", "a decryption takes 3 of the 5"
    )
    yield Case("combine_bad_k_minus_1_as_threshold", "combine_partials", asked(of(1, 4), 2), "PeerError", fit)
    swapped = {**of(1, 2), 3: partials[4]}
    yield Case("combine_bad_share_of_another_site", "combine_partials", asked(swapped), "PeerError", fit)
    other = {**of(1, 2), 3: paillier.partial_decrypt(MODULUS, SHARES[2], product[::-1])}
    yield Case("combine_bad_another_product", "combine_partials", asked(other), "PeerError", fit)
    short = {**of(1, 2), 3: partials[3][:2]}
    yield Case("combine_bad_lengths", "combine_partials", asked(short), "PeerError", "differ in length")
    zero = {**of(1, 2), 3: [0, *partials[3][1:]]}
    yield Case("combine_bad_zero", "combine_partials", asked(zero), "PeerError", "is not below the square")


def _ciphertext_cases(product: list[int]) -> Iterator[Case]:
    def asked(numbers: list[int], count: int = 3) -> dict[str, Any]:
        return {"modulus": hex(MODULUS), "bytes": paillier.to_bytes(MODULUS, numbers).hex(), "count": count}

    yield Case("ciphertexts", "ciphertexts", asked(product))
    wrong = {
        "zero": ([*product[:2], 0], 3, "is not below the square"),
        "square_of_the_modulus": ([*product[:2], MODULUS**2], 3, "is not below the square"),
        "largest": ([*product[:2], 2**1024 - 1], 3, "is not below the square"),
        "modulus": ([*product[:2], MODULUS], 3, "shares a factor"),
        "multiple_of_a_prime": ([*product[:2], 12345 * P], 3, "shares a factor"),
        "one_too_few": (product, 4, "4 ciphertexts of site 'a' take 512 bytes, not 384"),
        "one_too_many": (product, 2, "2 ciphertexts of site 'a' take 256 bytes, not 384"),
    }
    for name, (numbers, count, sentence) in wrong.items():
        yield Case(f"ciphertexts_bad_{name}", "ciphertexts", asked(numbers, count), "PeerError", sentence)
