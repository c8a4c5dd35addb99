"""The roster: who takes part, and the keys by which the sites know each other."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Protocol

from fedglmm_secure.errors import InputError

KEY_BYTES = 32
"""An Ed25519 or an X25519 public key."""


class Member(Protocol):
    """What the roster needs to know of a site."""

    @property
    def name(self) -> str:
        """The site's name, unique in the roster."""

    @property
    def public_key(self) -> str | None:
        """Base64 of the site's Ed25519 public key."""

    @property
    def encryption_key(self) -> str | None:
        """Base64 of the site's X25519 public key, for what is sealed to it."""


def decode_public_key(text: str) -> bytes:
    """The 32 bytes of a public key in base64; InputError when it is anything else."""
    try:
        key = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise InputError("is not the base64 text of a 32-byte key; copy it from the site's public.toml")
    return key


def encode_public_key(key: bytes) -> str:
    """A public key as the study file writes it: base64 with padding."""
    return base64.b64encode(key).decode()


def keys(members: Iterable[Member]) -> tuple[tuple[str, bytes], ...]:
    """Name and public key of each member, sorted by name; InputError names the members that have no key."""
    return _listed("public_key", members, lambda member: member.public_key)


def encryption_keys(members: Iterable[Member]) -> tuple[tuple[str, bytes], ...]:
    """Name and encryption key of each member, sorted by name; InputError names the members that have none."""
    return _listed("encryption_key", members, lambda member: member.encryption_key)


def _listed(
    key: str, members: Iterable[Member], value: Callable[[Member], str | None]
) -> tuple[tuple[str, bytes], ...]:
    listed = sorted(members, key=lambda member: member.name)
    without = [member.name for member in listed if value(member) is None]
    if without:
        raise InputError(
            f"sites: {', '.join(without)} {'has' if len(without) == 1 else 'have'} no {key}; "
            "add each with `fedglmm study add-site STUDY.toml NAME DIR/public.toml`"
        )
    return tuple((member.name, decode_public_key(value(member) or "")) for member in listed)
