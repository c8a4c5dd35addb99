"""Every domain-separation constant of the secure sums, with its version.

A label is the first field of whatever is hashed, signed or derived for one purpose, so that bytes made for
one purpose are never valid for another. Changing what a label covers means a new version of that label.
"""

from __future__ import annotations

from typing import Final

PROTOCOL: Final = "fedglmm/securesum/v1"
"""The version of the messages and their order; part of every session id."""

HELLO: Final = "fedglmm/securesum/v1/hello"
"""What a site signs when it announces its nonce and its mask key."""

SESSION: Final = "fedglmm/securesum/v1/session"
"""The session id."""

QUESTION: Final = "fedglmm/securesum/v1/question"
"""The digest of a question."""

CONTEXT: Final = "fedglmm/securesum/v1/sum"
"""The context of one sum."""

PAIR_MASK: Final = "fedglmm/masking/v1/pair"
"""The key of the mask that two sites share in one sum."""

APPROVAL: Final = "fedglmm/site/v1/approval"
"""What a site signs when it approves a study."""

AUDIT_LOG: Final = "fedglmm/site/v1/audit-log"
"""What stands for the line before the first one of an audit log."""

AUDIT_HEAD: Final = "fedglmm/site/v1/audit-head"
"""What a site signs with each line of its audit log: how many lines there are, and the last one's digest."""
