"""Every domain-separation constant of the secure sums, with its version.

A label is the first field of whatever is hashed, signed or derived for one purpose, so that bytes made for
one purpose are never valid for another. Changing what a label covers means a new version of that label.
"""

from __future__ import annotations

from typing import Final

PROTOCOL: Final = "fedglmm/securesum/v2"
"""The version of the messages and their order; part of every session id."""

HELLO: Final = "fedglmm/securesum/v1/hello"
"""What a site signs when it announces its nonce and its mask key."""

SESSION: Final = "fedglmm/securesum/v2/session"
"""The session id."""

QUESTION: Final = "fedglmm/securesum/v1/question"
"""The digest of a question."""

CONTEXT: Final = "fedglmm/securesum/v2/sum"
"""The context of one sum."""

SEED_TABLE: Final = "fedglmm/seed/v1/table"
"""A site's session seed for one table, from the seed that it keeps."""

SEED_NONCE: Final = "fedglmm/seed/v1/nonce"
"""A site's nonce, from its session seed."""

SEED_SESSION_KEY: Final = "fedglmm/seed/v1/session key"
"""The X25519 key of a site's Hello, from its session seed."""

SEED_WRAP_KEY: Final = "fedglmm/seed/v1/wrap key"
"""The X25519 key of one sum that wraps shares, from the session seed."""

SEED_MASK_KEY: Final = "fedglmm/seed/v1/mask key"
"""The X25519 key of one sum that seeds pairwise masks, from the session seed."""

SEED_SELF_MASK: Final = "fedglmm/seed/v1/self mask"
"""The self-mask seed of one sum, from the session seed and the sum's context."""

SEED_POLYNOMIAL: Final = "fedglmm/seed/v1/polynomial"
"""The coefficients by which a secret is shared, from the session seed."""

PAIR_MASK: Final = "fedglmm/masking/v1/pair"
"""The key of the mask that two sites share in one sum."""

SELF_MASK: Final = "fedglmm/masking/v1/self"
"""The key of the mask that a site adds by itself in one sum."""

SELF_COMMITMENT: Final = "fedglmm/masking/v1/self commitment"
"""A site's commitment to its self-mask seed."""

ADVERTISE: Final = "fedglmm/masking/v1/advertise"
"""What a site signs when it advertises the keys of a batch of sums."""

MASK_KEY_SHARE: Final = "fedglmm/masking/v1/mask key share"
"""The wrapping key of a share of a mask key."""

SELF_SHARE: Final = "fedglmm/masking/v1/self share"
"""The wrapping key of a share of a self-mask seed."""

AGREE: Final = "fedglmm/masking/v1/agree"
"""What a site signs when it agrees on whose vectors are in a sum, before it releases any share."""

COMMIT: Final = "fedglmm/paillier/v1/commit"
"""A site's commitment to its ciphertexts, and what it signs for it."""

KEY_DEALING: Final = "fedglmm/paillier/v1/dealing"
"""The digest of what a Paillier key was dealt for: its modulus, its threshold and the roster."""

KEY_SHARE: Final = "fedglmm/paillier/v1/share"
"""What binds a sealed key share to its dealing and its site."""

APPROVAL: Final = "fedglmm/site/v1/approval"
"""What a site signs when it approves a study."""

AUDIT_LOG: Final = "fedglmm/site/v1/audit-log"
"""What stands for the line before the first one of an audit log."""

AUDIT_HEAD: Final = "fedglmm/site/v1/audit-head"
"""What a site signs with each line of its audit log: how many lines there are, and the last one's digest."""
