"""Encryption and threshold decryption, against phe's own decryption with the whole key."""

from __future__ import annotations

import itertools
import secrets
from math import prod

import phe
import pytest

from fedglmm_secure.errors import PeerError
from fedglmm_secure.securesum import paillier
from fedglmm_secure.securesum.paillier.threshold import lagrange

PLAINTEXTS = (0, 1, 2**480 - 1, 123456789)


def test_phe_decrypts_what_is_encrypted_here(dealt):
    ciphertexts = dealt.encrypted(*PLAINTEXTS)
    assert [dealt.private.raw_decrypt(c) for c in ciphertexts] == list(PLAINTEXTS)


def test_sites_decrypt_what_phe_encrypts(dealt):
    public = phe.PaillierPublicKey(dealt.public.modulus)
    ciphertexts = [public.raw_encrypt(plaintext) for plaintext in PLAINTEXTS]
    assert dealt.combined(dealt.partials(ciphertexts, 2, 3, 5)) == list(PLAINTEXTS)


def test_any_plaintext_below_n_comes_back(dealt):
    extremes = (0, dealt.public.modulus // 2, dealt.public.modulus - 1)
    assert dealt.combined(dealt.partials(dealt.encrypted(*extremes), 1, 2, 3)) == list(extremes)


@pytest.mark.parametrize("indices", list(itertools.combinations(range(1, 6), 3)))
def test_any_three_of_five_decrypt(dealt, indices):
    ciphertexts = dealt.encrypted(*PLAINTEXTS)
    assert dealt.combined(dealt.partials(ciphertexts, *indices)) == list(PLAINTEXTS)


@pytest.mark.parametrize("indices", [(1, 2, 3, 4), (2, 3, 4, 5), (5, 3, 4, 1, 2)])
def test_more_than_three_decrypt(dealt, indices):
    ciphertexts = dealt.encrypted(*PLAINTEXTS)
    assert dealt.combined(dealt.partials(ciphertexts, *indices)) == list(PLAINTEXTS)


@pytest.mark.parametrize("indices", [(), (1,), (1, 2), (3, 5)])
def test_fewer_than_three_are_refused(dealt, indices):
    partials = dealt.partials(dealt.encrypted(7), *indices)
    with pytest.raises(PeerError, match="takes 3 of the 5 sites"):
        dealt.combined(partials)


@pytest.mark.parametrize("indices", list(itertools.combinations(range(1, 6), 2)))
def test_two_do_not_decrypt_whatever_the_coordinator_claims(dealt, indices):
    partials = dealt.partials(dealt.encrypted(7), *indices)
    with pytest.raises(PeerError, match="do not fit together"):
        paillier.combine(dealt.public, 2, dealt.sites, partials)


@pytest.mark.parametrize("indices", [(0, 1, 2), (1, 2, 6)])
def test_indices_outside_the_roster_are_refused(dealt, indices):
    with pytest.raises(PeerError, match="takes 3 of the 5 sites"):
        dealt.combined({index: [1] for index in indices})


def test_a_wrong_partial_decryption_is_noticed(dealt):
    partials = dealt.partials(dealt.encrypted(7, 8), 1, 2, 3)
    partials[2][1] = partials[2][1] * 2 % dealt.public.modulus**2
    with pytest.raises(PeerError, match="do not fit together"):
        dealt.combined(partials)


def test_partial_decryptions_of_another_product_are_noticed(dealt):
    partials = dealt.partials(dealt.encrypted(7), 1, 2) | dealt.partials(dealt.encrypted(7), 3)
    with pytest.raises(PeerError, match="do not fit together"):
        dealt.combined(partials)


def test_partial_decryptions_of_different_length_are_refused(dealt):
    partials = dealt.partials(dealt.encrypted(7), 1, 2) | dealt.partials(dealt.encrypted(7, 8), 3)
    with pytest.raises(PeerError, match="differ in length"):
        dealt.combined(partials)


def test_the_product_encrypts_the_sum(dealt):
    vectors = [dealt.encrypted(site, 10**site) for site in range(5)]
    product = paillier.multiply(dealt.public, vectors)
    assert product == [prod(column) % dealt.public.modulus**2 for column in zip(*vectors, strict=True)]
    assert [dealt.private.raw_decrypt(c) for c in product] == [10, 11111]


@pytest.mark.parametrize("vectors", [[], [[1, 2], [3]], [[1], [2, 3]]])
def test_contributions_that_differ_in_length_are_refused(dealt, vectors):
    with pytest.raises(PeerError, match="differ in length"):
        paillier.multiply(dealt.public, vectors)


def test_one_blinder_a_ciphertext(dealt):
    with pytest.raises(ValueError, match="zip"):
        paillier.encrypt(dealt.public, [1, 2], [5])


def test_no_two_encryptions_are_alike(dealt):
    assert len(set(dealt.encrypted(*[7] * 20))) == 20


def test_a_blinder_is_given_once(dealt):
    blinders = paillier.Blinders(dealt.public, secrets.token_bytes)
    blinders.prepare(4)
    blinders.prepare(3)
    assert len(blinders) == 4
    taken = blinders.take(3) + blinders.take(3) + blinders.take(0)
    assert (len(taken), len(set(taken)), len(blinders)) == (6, 6, 0)


def test_a_blinder_is_an_nth_power(dealt):
    """An encryption of 0: anything else would change the sum."""
    for blinder in paillier.prepare(dealt.public, 5, secrets.token_bytes):
        assert dealt.private.raw_decrypt(blinder) == 0


def test_what_is_no_ciphertext_is_refused_by_name(dealt):
    modulus = dealt.public.modulus
    for bad in (0, modulus**2, modulus**2 + 1, -1):
        with pytest.raises(PeerError, match="a ciphertext of site 'a' is not below the square"):
            paillier.check_ciphertexts(dealt.public, [1, bad, 1], "site 'a'")
    for bad in (modulus, dealt.private.p, 5 * dealt.private.q):
        with pytest.raises(PeerError, match="a ciphertext of site 'a' shares a factor"):
            paillier.check_ciphertexts(dealt.public, [1, bad, 1], "site 'a'")
    with pytest.raises(PeerError, match="a ciphertext of the product shares a factor"):
        paillier.partial_decrypt(dealt.public, dealt.shares[0], [modulus])
    with pytest.raises(PeerError, match="of the partial decryption 2 shares a factor"):
        dealt.combined({1: [1], 2: [modulus], 3: [1]})


def test_ciphertexts_as_bytes_come_back(dealt):
    ciphertexts = [1, *dealt.encrypted(1, 2), dealt.public.modulus**2 - 1]
    data = paillier.to_bytes(dealt.public, ciphertexts)
    assert len(data) == 4 * 128
    assert paillier.from_bytes(dealt.public, data, 4, "site 'a'") == ciphertexts
    for count, wrong in ((4, data[:-1]), (4, data + b"\0"), (3, data), (1, b"")):
        with pytest.raises(PeerError, match=f"{count} ciphertexts of site 'a' take {count * 128} bytes"):
            paillier.from_bytes(dealt.public, wrong, count, "site 'a'")
    with pytest.raises(PeerError, match="not below the square"):
        paillier.from_bytes(dealt.public, b"\xff" * 128, 1, "site 'a'")


def test_lagrange_coefficients_interpolate_at_0():
    values = {i: 7 + 3 * i - 5 * i**2 for i in range(1, 10)}
    for indices in itertools.combinations(values, 3):
        coefficients = lagrange(indices, 362880)
        assert sum(coefficients[i] * values[i] for i in indices) == 362880 * 7
