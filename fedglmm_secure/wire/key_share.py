"""A dealt Paillier key: the study that names it, and one sealed file a site.

A share is sealed to its site's encryption key and bound to the dealing: the modulus, the threshold and the roster in
order, whose length and places the secret depends on. The model may change without a new dealing; the roster may not.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

import tomli_w

from fedglmm_secure import canonical
from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum import labels, paillier
from fedglmm_secure.securesum.paillier.keys import KeyShare, Randomness
from fedglmm_secure.securesum.sealed import seal
from fedglmm_secure.study import Study
from fedglmm_secure.study.toml import read_toml
from fedglmm_secure.wire.identity import ENCRYPTION_KEY, Identity

FORMAT = "fedglmm-share/1"


@dataclass(frozen=True)
class Dealing:
    """The study with its Paillier key, how many sites it takes to decrypt, and each site's share (not in ``repr``)."""

    study: Study
    threshold: int
    shares: Mapping[str, KeyShare] = field(repr=False)


def deal_key(study: Study, bits: int, randomness: Randomness) -> Dealing:
    """A new Paillier key for the study's roster, in memory: for a ceremony's files, or for a rehearsal.

    The threshold is floor(n / 2) + 1. Raises InputError on a roster of fewer than two sites or on other ``bits``.
    """
    names = [site.name for site in study.sites]
    threshold = paillier.smallest_threshold(len(names))
    public, shares = paillier.deal(len(names), threshold, bits, randomness)
    keyed = study.model_copy(
        update={
            "security": {**study.security.model_dump(), "protocol": "paillier"},
            "paillier": {"modulus": public.hex, "threshold": threshold},
        }
    )
    return Dealing(keyed, threshold, dict(zip(names, shares, strict=True)))


def share_file(study: Study, site: str, share: KeyShare) -> bytes:
    """The share of ``site`` as a file that only its encryption key opens; InputError when it has none."""
    readers = dict(study.encryption_keys())
    binding = _binding(study)
    content = share.secret.to_bytes((share.secret.bit_length() + 7) // 8, "big")
    try:
        sealed = seal(readers[site], content, labels.KEY_SHARE, binding, site)
    except InputError as error:
        raise InputError(f"sites.encryption_key: that of {site} {error}") from error
    text = base64.encodebytes(sealed).decode()
    fields = {"format": FORMAT, "study": study.study.id, "site": site, "dealing": binding.hex(), "sealed": text}
    return tomli_w.dumps(fields, multiline_strings=True).encode()


def open_share(data: bytes, own: Identity, study: Study) -> KeyShare:
    """The key share in a share file, for the site whose keys ``own`` are, in the study as it is now.

    (1) a share file; (2) of this site; (3) of this dealing; (4) sealed to the key that the roster gives this site,
    which is the one at hand; (5) undamaged. Raises InputError with the sentence that applies.
    """
    fields = _parse(data)  # (1)
    roster = study.roster()
    name = next((name for name, key in roster if key == own.signing.public_bytes), None)
    if name is None or fields["site"] != name:  # (2)
        mine = f"are those of {name}" if name else "are not in the study's roster"
        raise InputError(f"is the key share of site {fields['site']}, and these keys {mine}; use your own of both")
    binding = _binding(study)
    if fields["dealing"] != binding.hex():  # (3)
        raise InputError(
            f"was dealt for study {fields['study']} with another Paillier key or another roster; use the share that "
            "was dealt with this study.toml"
        )
    if dict(study.encryption_keys())[name] != own.encryption.public_bytes:  # (4)
        raise InputError(
            f"is sealed to the encryption key that the study gives {name}, and {ENCRYPTION_KEY} is another; use the "
            "keys whose public.toml was added to the study"
        )
    try:
        sealed = base64.b64decode("".join(fields["sealed"].split()), validate=True)
        content = own.encryption.open(sealed, labels.KEY_SHARE, binding, name)
    except (InputError, ValueError) as error:  # (5)
        raise InputError("is damaged; have the dealer send it again, or deal the key again") from error
    place = [site for site, _ in roster].index(name) + 1
    return KeyShare(place, int.from_bytes(content, "big"))


def _binding(study: Study) -> bytes:
    """The digest of what a share depends on; InputError when no key is dealt."""
    if study.paillier is None:
        raise InputError("the study has no Paillier key; make one with `fedglmm paillier deal`")
    roster = [
        (name, key, encryption)
        for (name, key), (_, encryption) in zip(study.roster(), study.encryption_keys(), strict=True)
    ]
    return canonical.digest(labels.KEY_DEALING, study.paillier.modulus, study.paillier.threshold, roster)


def _parse(data: bytes) -> dict[str, str]:
    """The fields of a share file, all of them text; InputError for any other file."""
    try:
        fields = read_toml(data.decode())
    except (UnicodeDecodeError, InputError):
        fields = {}
    wanted = ("format", "study", "site", "dealing", "sealed")
    if fields.get("format") != FORMAT or not all(isinstance(fields.get(name), str) for name in wanted):
        raise InputError("is not a key share, or is damaged; use the .share file that the dealer sent")
    return {name: fields[name] for name in wanted}
