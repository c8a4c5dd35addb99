"""The protocols by name. Another one is another line here, and in ``states.PHASES``."""

from __future__ import annotations

from collections.abc import Mapping

from fedglmm_secure.errors import InputError
from fedglmm_secure.securesum.masking import unmasking
from fedglmm_secure.securesum.masking.complete import Masking
from fedglmm_secure.securesum.masking.tolerant import TolerantMasking
from fedglmm_secure.securesum.paillier import sums as paillier
from fedglmm_secure.securesum.plain import Plain
from fedglmm_secure.securesum.protection import Protection, add_all, check_vector

PROTECTIONS: Mapping[str, Protection] = {
    "masking": Protection(at_site=Masking, check=check_vector, total=add_all),
    "masking with dropouts": Protection(at_site=TolerantMasking, check=unmasking.check, total=unmasking.total),
    "paillier": Protection(at_site=paillier.Paillier, check=paillier.check, total=paillier.total),
    "plain": Protection(at_site=Plain, check=check_vector, total=add_all),
}


def protection_of(scheme: str) -> Protection:
    """The protection of that name; InputError names those that exist."""
    if scheme not in PROTECTIONS:
        raise InputError(f"the protocol {scheme!r} is not available; use masking, paillier or plain")
    return PROTECTIONS[scheme]
