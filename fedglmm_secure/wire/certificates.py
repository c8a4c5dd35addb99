"""By which TLS certificate a party is known: the very one that the study pins, or one that its hospital's CA issued.

An authority (CA) is trusted for one name only: the certificate must carry the name that the study has for the party,
and be issued by that authority itself. TLS checks signatures and dates before; what is here decides who the other one
is, and says what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from fedglmm_secure.errors import InputError
from fedglmm_secure.study import Study
from fedglmm_secure.study.schema import Coordinator, Site
from fedglmm_secure.wire.identity import SERVER_NAME, certificate_der


@dataclass(frozen=True)
class Trust:
    """What a study says of one party's certificate."""

    pem: str
    """The certificate itself, or that of the authority: what TLS takes as a root."""
    name: str | None
    """The name (DNS, in the certificate's subject alternative names) that the authority vouches for; None: pinned."""

    @property
    def server_name(self) -> str:
        """What TLS looks for in the certificate of a server."""
        return self.name or SERVER_NAME

    @cached_property
    def _der(self) -> bytes:
        return certificate_der(self.pem)

    def knows(self, der: bytes) -> bool:
        """Whether this is the party's certificate (DER)."""
        if self.name is None:
            return der == self._der
        try:
            certificate = x509.load_der_x509_certificate(der)
        except (ValueError, x509.InvalidVersion):  # whoever is in between shows what he likes
            return False
        return self.name in _names(certificate) and _issued(certificate, self._der)


def trust_of(party: Site | Coordinator) -> Trust | None:
    """What a study says of the certificate of ``party``, None where it says nothing.

    Raises InputError for a certificate that cannot be read, or an authority that is none.
    """
    if party.certificate is not None:
        certificate_der(party.certificate)
        return Trust(party.certificate, None)
    if party.certificate_authority is None:
        return None
    if not _is_authority(party.certificate_authority):
        raise InputError(
            f"the certificate_authority for {party.certificate_name} in the study is not the certificate of an "
            "authority; ask the hospital's IT for the one that issued the certificate"
        )
    return Trust(party.certificate_authority, party.certificate_name)


def site_trusts(study: Study) -> dict[str, Trust]:
    """By which certificate each site is known; InputError names the sites without one."""
    trusts = {site.name: trust_of(site) for site in study.sites}
    without = [name for name, trust in trusts.items() if trust is None]
    if without:
        raise InputError(f"no certificate in the study for {', '.join(without)}; add it with `fedglmm study add-site`")
    return {name: trust for name, trust in trusts.items() if trust is not None}


def coordinator_trust(study: Study) -> Trust:
    """By which certificate the coordinator is known; InputError when the study does not say."""
    trust = trust_of(study.coordinator)
    if trust is None:
        raise InputError(
            "the study has no coordinator certificate; its author adds it under [coordinator] with "
            "`fedglmm study set-coordinator`"
        )
    return trust


def out_of_date(der: bytes, now: datetime) -> str:
    """``expired on ...`` or ``is not valid before ...``, or nothing, for a certificate in DER."""
    certificate = x509.load_der_x509_certificate(der)
    if now > certificate.not_valid_after_utc:
        return f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if now < certificate.not_valid_before_utc:
        return f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    return ""


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return []
    return [name.lower() for name in names.get_values_for_type(x509.DNSName)]


def _issued(certificate: x509.Certificate, authority: bytes) -> bool:
    try:
        certificate.verify_directly_issued_by(x509.load_der_x509_certificate(authority))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_authority(pem: str) -> bool:
    try:
        extensions = x509.load_der_x509_certificate(certificate_der(pem)).extensions
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False
