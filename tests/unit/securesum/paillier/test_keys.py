"""Dealing: sizes, bounds and the polynomial, recomputed from its definition."""

from __future__ import annotations

import secrets
from math import factorial, gcd, lcm

import pytest

from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum import paillier
from fedglmm_secure.securesum.paillier import KeyShare, PublicKey, smallest_threshold
from fedglmm_secure.securesum.paillier.keys import draw_below


def test_the_threshold_is_more_than_half():
    assert [smallest_threshold(sites) for sites in (2, 3, 4, 5, 50, 255)] == [2, 2, 3, 3, 26, 128]


def test_arithmetic_of_the_full_size():
    public, shares = paillier.deal(4, 3, paillier.BITS, secrets.token_bytes)
    assert (public.bits, public.ciphertext_bytes, len(shares)) == (3072, 768, 4)
    assert gcd(factorial(255), public.modulus) == 1
    # f(4) = Delta d + a_1 4 + a_2 16, each a below Delta^2 2^128 N^2
    assert max(share.secret for share in shares) < 21 * factorial(4) ** 2 * 2**128 * public.modulus**2
    assert max(share.secret.bit_length() for share in shares) > 2 * 3072 + 100


def test_shares_lie_on_one_polynomial_whose_value_at_0_decrypts():
    p, q = 2**127 - 1, 2**89 - 1
    bound = factorial(5) ** 2 * 2**128 * (p * q) ** 2
    drawn = []

    def randomness(size: int) -> bytes:
        drawn.append(secrets.token_bytes(size))
        return drawn[-1]

    shares = paillier.share(p, q, 5, 3, randomness)
    f = {share.index: share.secret for share in shares}
    assert sorted(f) == [1, 2, 3, 4, 5]
    # third differences of a polynomial of degree 2 vanish
    for i in (1, 2):
        assert f[i + 3] - 3 * f[i + 2] + 3 * f[i + 1] - f[i] == 0
    at_0 = 3 * f[1] - 3 * f[2] + f[3]
    secret, rest = divmod(at_0, factorial(5))
    assert (rest, secret % lcm(p - 1, q - 1), secret % (p * q)) == (0, 0, 1)
    leading = (f[3] - 2 * f[2] + f[1]) // 2
    assert 0 <= leading < bound
    numbers = [int.from_bytes(data, "big") >> (-bound.bit_length() % 8) for data in drawn]
    assert [number for number in numbers if number < bound] == [f[1] - at_0 - leading, leading]


def test_draws_above_the_bound_are_thrown_away():
    draws = iter([b"\xff", b"\xa0", b"\x9f", b"\x00"])
    assert draw_below(10, lambda size: next(draws)) == 9  # the upper 4 bits: 15 and 10 are thrown away
    assert draw_below(10, lambda size: next(draws)) == 0
    assert draw_below(1, lambda size: b"") == 0


@pytest.mark.parametrize("bits", [512, 1024, 2047, 3071, 4096])
def test_other_sizes_are_refused(bits):
    with pytest.raises(InputError, match=f"has 3072 bits, or 2048 as a legacy option, not {bits}"):
        paillier.deal(4, 3, bits, secrets.token_bytes)


@pytest.mark.parametrize(("sites", "threshold"), [(4, 2), (4, 5), (3, 1), (50, 25)])
def test_a_threshold_of_half_or_less_is_refused(sites, threshold):
    with pytest.raises(InputError, match="more than half"):
        paillier.deal(sites, threshold, 512, secrets.token_bytes, small_for_tests=True)


@pytest.mark.parametrize("sites", [0, 1, 256])
def test_too_few_or_too_many_sites_are_refused(sites):
    with pytest.raises(InputError, match="2 to 255 sites"):
        paillier.deal(sites, 2, 512, secrets.token_bytes, small_for_tests=True)


def test_a_key_in_hexadecimal_comes_back(dealt):
    assert PublicKey.from_hex(dealt.public.hex) == dealt.public
    for text in ("", "xyz", "-3", "4", "0"):
        with pytest.raises(InputError, match="not a Paillier modulus"):
            PublicKey.from_hex(text)


@pytest.mark.parametrize(("index", "secret"), [(0, 5), (256, 5), (1, 0), (1, -5)])
def test_what_is_no_share_is_refused(index, secret):
    with pytest.raises(InputError, match="a key share has"):
        KeyShare(index, secret)


def test_secrets_are_not_shown(dealt):
    share = dealt.shares[0]
    blinders = paillier.Blinders(dealt.public, secrets.token_bytes)
    blinders.prepare(2)
    shown = repr(share) + str(share) + repr(blinders) + repr(dealt.public)
    assert repr(share) == "KeyShare(index=1)"
    assert repr(blinders) == "Blinders(2 ready)"
    hidden = [share.secret, *blinders.take(2)]
    assert not any(f"{number:d}"[:20] in shown or f"{number:x}"[:16] in shown for number in hidden)
