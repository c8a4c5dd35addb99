"""The one secret of a site in a session. All else that it must keep is derived from it.

A site that was killed and has its seed and its journal again gives the very same messages again, byte for byte. The
seed is forgotten when the session ends: nothing on disk opens the masks of a past session.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fedglmm_secure import canonical
from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum import labels

SEED_BYTES = 32


class Seed:
    """32 random bytes of one session. Its ``repr`` hides them."""

    def __init__(self, content: bytes) -> None:
        """Take fresh random bytes, or those of a session that goes on; InputError for another size."""
        if len(content) != SEED_BYTES:
            raise InputError(f"a session seed has {SEED_BYTES} bytes, not {len(content)}; remove it and join again")
        self._content = content

    @property
    def content(self) -> bytes:
        """The bytes, for the driver to keep where only the site can read them."""
        return self._content

    def derive(self, label: str, *fields: object, size: int = 32) -> bytes:
        """HKDF-SHA256 (RFC 5869) of the seed for one purpose."""
        info = canonical.encode([label, *fields])
        return HKDF(algorithm=SHA256(), length=size, salt=None, info=info).derive(self._content)

    def for_table(self, table: bytes) -> Seed:
        """The seed of a session over the table file ``table``.

        A folder that was copied or restored has the same seed again: over another table it would give another answer
        under the same mask, and the two differ by the rows that were changed.
        """
        return Seed(self.derive(labels.SEED_TABLE, hashlib.sha256(table).digest()))

    def __repr__(self) -> str:
        return "Seed(<secret>)"
