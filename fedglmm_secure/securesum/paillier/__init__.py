"""Threshold Paillier: sums under encryption, which only a majority of the sites together can open.

Pure functions: packing numbers into plaintexts, the key and its shares, encryption, threshold decryption. Randomness
is an argument; nothing here sends, stores or waits.
"""

from fedglmm_secure.choices import LEGACY_PAILLIER_BITS as LEGACY_BITS
from fedglmm_secure.choices import PAILLIER_BITS as BITS
from fedglmm_secure.securesum.paillier.encryption import (
    Blinders,
    check_ciphertexts,
    encrypt,
    from_bytes,
    multiply,
    prepare,
    to_bytes,
)
from fedglmm_secure.securesum.paillier.keys import (
    KeyShare,
    PublicKey,
    deal,
    share,
    smallest_threshold,
    weakness,
)
from fedglmm_secure.securesum.paillier.packing import pack, plaintexts_for, slots_per_plaintext, unpack
from fedglmm_secure.securesum.paillier.threshold import combine, partial_decrypt

__all__ = [
    "BITS",
    "LEGACY_BITS",
    "Blinders",
    "KeyShare",
    "PublicKey",
    "check_ciphertexts",
    "combine",
    "deal",
    "encrypt",
    "from_bytes",
    "multiply",
    "pack",
    "partial_decrypt",
    "plaintexts_for",
    "prepare",
    "share",
    "slots_per_plaintext",
    "smallest_threshold",
    "to_bytes",
    "unpack",
    "weakness",
]
