"""The digest of a study: what a site signs when it approves, and what binds every sum to the study.

It is taken of the validated study with its defaults filled in and its values in canonical form, so that
comments, the order of keys and tables, white space and spelled-out defaults do not change it, and every field
that is kept does. Keys without a value are left out: an optional key added by a later version leaves the
digests of older studies alone.
"""

from __future__ import annotations

from collections.abc import Mapping

from fedglmm_secure import canonical

LABEL = "fedglmm/study/v1"


def study_digest(fields: Mapping[str, object]) -> bytes:
    """SHA-256 (32 bytes) of the canonical form of a study's fields."""
    return canonical.digest(LABEL, _ordered(fields))


def _ordered(value: object) -> object:
    """Tables as lists of (key, value) sorted by key, recursively, and lists as they are."""
    if isinstance(value, Mapping):
        return [[key, _ordered(value[key])] for key in sorted(value) if value[key] is not None]
    if isinstance(value, (list, tuple)):
        return [_ordered(item) for item in value]
    return value
