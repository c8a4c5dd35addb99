"""Masks: HKDF-SHA256 (RFC 5869), expanded by AES-256 in counter mode.

The zero IV is safe because a derived key serves for exactly one mask: the context in ``info`` holds the
session, the sum's number and the question, and a site answers a number once.
"""

from __future__ import annotations

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedglmm_secure import canonical, ring
from fedglmm_secure.ring import Ring
from fedglmm_secure.securesum import labels

KEY_BYTES = 32
_ZERO_IV = bytes(16)


def pair_mask(secret: bytes, session_id: bytes, context: bytes, pair: tuple[str, str], length: int) -> Ring:
    """The mask, shape (length, 2), that a pair of sites shares in the sum of ``context``, in whichever order."""
    return expand(derive_key(secret, session_id, context, pair, length), length)


def derive_key(secret: bytes, session_id: bytes, context: bytes, pair: tuple[str, str], length: int) -> bytes:
    """HKDF with the session id as salt; the pair in order of name makes both sites derive the same key."""
    info = canonical.encode([labels.PAIR_MASK, context, *sorted(pair), length])
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=session_id, info=info).derive(secret)


def self_mask(seed: bytes, session_id: bytes, context: bytes, site: str, length: int) -> Ring:
    """The mask, shape (length, 2), that ``site`` adds by itself in the sum of ``context``."""
    info = canonical.encode([labels.SELF_MASK, context, site, length])
    return expand(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=session_id, info=info).derive(seed), length)


def expand(key: bytes, length: int) -> Ring:
    """The first 16 * length bytes of the AES-256-CTR keystream of ``key``, as ring elements."""
    stream = keystream(key, length * ring.ELEMENT_BYTES)
    return stream.view("<u8").astype(np.uint64, copy=False).reshape(length, 2)


def keystream(key: bytes, size: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """The first ``size`` bytes of the AES-256-CTR keystream of ``key``, from a counter of zero."""
    stream = np.empty(size, dtype=np.uint8)
    Cipher(algorithms.AES256(key), modes.CTR(_ZERO_IV)).encryptor().update_into(bytes(size), stream.data)
    return stream
