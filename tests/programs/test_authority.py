"""Certificates of a hospital's own authority (CA) instead of pinned ones, over real TLS; and those out of date."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from fedglmm_coordinator.log import Log
from fedglmm_coordinator.server import Exchange, server_credentials, start_server
from fedglmm_coordinator.transcript import Transcript
from fedglmm_secure.errors import InputError, RefusalError
from fedglmm_secure.securesum import Policy, Seed, Site
from fedglmm_secure.study import Study
from fedglmm_secure.study.edit import add_site, parse_public, set_coordinator
from fedglmm_secure.wire.certificates import Trust, out_of_date, trust_of
from fedglmm_secure.wire.codec import METHOD, encode_site
from fedglmm_secure.wire.identity import Identity, certificate_der
from fedglmm_secure.wire.messages import Wait
from fedglmm_secure.wire.terms import terms_of
from fedglmm_site.handshake import certificate_fault

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

NOW = datetime.now(UTC)
NAMES = {"1_UM": "fit.um.example", "coordinator": "fit.example.org"}


@dataclass(frozen=True)
class Authority:
    """An authority, or one that it vouches for."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str, above: Authority | None = None) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(key, sign(name, key, above, authority=True))

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(
        self,
        own: Identity,
        name: str | None,
        days: tuple[int, int] = (-1, 30),
        key: Key | None = None,
        subject: str = "server",
    ) -> Identity:
        """The identity with a TLS key and certificate from this authority."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        certificate = sign(subject, key, self, name=name, days=days)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return replace(own, tls_key_pem=pem, certificate_pem=certificate.public_bytes(Encoding.PEM))


def sign(
    subject: str,
    key: Key,
    by: Authority | None,
    *,
    name: str | None = None,
    days: tuple[int, int] = (-1, 30),
    authority: bool = False,
) -> x509.Certificate:
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(called)
        .issuer_name(by.certificate.subject if by else called)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if name is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(by.key if by else key, SHA256())


ROOT = Authority.make("hospital")
ISSUING = Authority.make("hospital, servers", ROOT)
OTHER = Authority.make("another hospital")


def public(own: Identity, authority: Authority, name: str) -> str:
    """What such a hospital puts into its public.toml."""
    return (
        f'public_key = "{own.public_key}"\ncertificate_name = "{name}"\n'
        f'certificate_authority = """\n{authority.pem}"""\n'
    )


@pytest.fixture
def certified(deploy):
    """The deployment, with the first site and the coordinator known by an issuing authority, and files to match."""

    def make(site: Callable[[Identity], Identity] | None = None, coordinator: Callable | None = None):
        deployment = deploy()
        text = deployment.study.to_toml()
        for party, renewed in (("1_UM", site), ("coordinator", coordinator)):
            own = deployment.identities[party]
            own = (renewed or (lambda own, name=NAMES[party]: ISSUING.issue(own, name)))(own)
            deployment.identities[party] = own
            (deployment.keys(party) / "tls.key").write_bytes(own.tls_key_pem)
            (deployment.keys(party) / "tls.crt").write_bytes(own.certificate_pem)
            keys = parse_public(public(own, ISSUING, NAMES[party]), "public.toml")
            if party == "coordinator":
                text = set_coordinator(text, "s", keys, replace=True)
            else:
                text = add_site(text, "s", party, keys, replace=True)
        (deployment.folder / "study.toml").write_text(text)
        deployment.study = Study.parse(text, "study.toml")
        return deployment

    return make


def test_a_fit_where_an_authority_vouches_for_a_site_and_the_coordinator(certified, sites, address) -> None:
    deployment = certified()
    coordinator = deployment.coordinator("--quiet")
    joined = [deployment.site(name, address(coordinator), "--quiet") for name in sites]
    assert [program.end() for program in (coordinator, *joined)] == [0] * 5
    assert "4 sites, 7 sums" in coordinator.stdout


def call(deployment, who: Identity, tmp_path: Path, roots: str = ISSUING.pem) -> tuple[str, str]:
    """One message to a real server, over TLS with the certificate of ``who``: the status and its sentence."""
    study = Study.parse((deployment.folder / "study.toml").read_text(), "s")

    class Quiet:
        def count(self, site: str, size: int) -> None: ...

        async def exchange(self, message: object) -> Wait:
            return Wait()

    async def play() -> tuple[str, str]:
        log = Log(tmp_path / "log.jsonl", lambda: datetime.now(UTC), lambda line: None)
        with Transcript(tmp_path / "transcript.jsonl", lambda: 0.0) as transcript, log:
            own = deployment.identities["coordinator"]
            server, address = await start_server(Exchange(study, Quiet(), transcript, log), study, own, "127.0.0.1:0")
            credentials = grpc.ssl_channel_credentials(roots.encode(), who.tls_key_pem, who.certificate_pem)
            options = (("grpc.ssl_target_name_override", NAMES["coordinator"]),)
            signing, seed = deployment.identities["1_UM"].signing, Seed(secrets.token_bytes(32))
            site = Site(terms_of(study), signing, Policy(), seed, randomness=secrets.token_bytes)
            hello = site.hello()
            async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
                try:
                    await channel.unary_unary(METHOD)(encode_site(hello), timeout=10.0)
                    return "OK", ""
                except grpc.aio.AioRpcError as error:
                    return error.code().name, error.details() or ""
                finally:
                    await server.stop(grace=None)

    return asyncio.run(play())


def test_a_renewed_certificate_needs_no_new_study(certified, tmp_path: Path) -> None:
    deployment = certified()
    own = deployment.identities["1_UM"]
    assert call(deployment, own, tmp_path)[0] == "OK"
    assert call(deployment, ISSUING.issue(own, NAMES["1_UM"]), tmp_path)[0] == "OK"
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert call(deployment, ISSUING.issue(own, NAMES["1_UM"], key=rsa_key), tmp_path)[0] == "OK"
    with_capitals = ISSUING.issue(own, NAMES["1_UM"].upper())
    assert call(deployment, with_capitals, tmp_path)[0] == "OK"


@pytest.mark.parametrize("name", ["fit.other.example", "um.example", "x.fit.um.example", None, "coordinator"])
def test_the_authority_vouches_for_one_name_alone(certified, tmp_path: Path, name: str | None) -> None:
    """Everybody else of the same hospital has certificates of the same authority."""
    deployment = certified()
    colleague = ISSUING.issue(deployment.identities["1_UM"], NAMES.get(name or "", name))
    code, sentence = call(deployment, colleague, tmp_path)
    assert (code, "not in the coordinator's copy of the study" in sentence) == ("PERMISSION_DENIED", True)
    assert (tmp_path / "transcript.jsonl").read_text() == ""


@pytest.mark.parametrize("authority", [OTHER, ROOT], ids=["a stranger's", "the one above"])
def test_another_authority_vouches_for_nobody(certified, tmp_path: Path, authority: Authority) -> None:
    deployment = certified()
    assert call(deployment, authority.issue(deployment.identities["1_UM"], NAMES["1_UM"]), tmp_path)[0] == "UNAVAILABLE"


def test_a_pinned_certificate_issues_nothing(certified, tmp_path: Path) -> None:
    """The other sites' certificates are roots of TLS too, which lets this pass: who it is, the authority alone says."""
    deployment = certified()
    pinned = deployment.identities["2_IU"]
    key = ec.generate_private_key(ec.SECP256R1())
    forger = Authority(
        load_pem_private_key(pinned.tls_key_pem, None), x509.load_pem_x509_certificate(pinned.certificate_pem)
    )
    forged = sign("server", key, forger, name=NAMES["1_UM"]).public_bytes(Encoding.PEM)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    impostor = replace(deployment.identities["1_UM"], tls_key_pem=pem, certificate_pem=forged)
    code, sentence = call(deployment, impostor, tmp_path)
    assert (code, "not in the coordinator's copy of the study" in sentence) == ("PERMISSION_DENIED", True)


@pytest.mark.parametrize(("days", "sentence"), [((-9, -1), "expired on"), ((1, 9), "is not valid before")])
def test_a_certificate_out_of_date_is_refused_with_a_sentence(certified, address, days, sentence: str) -> None:
    deployment = certified(site=lambda own: ISSUING.issue(own, NAMES["1_UM"], days))
    site = deployment.site("1_UM", "127.0.0.1:9", "--timeout", 0)
    assert site.end() == 3
    assert f"this site's certificate in --keys {sentence}" in site.error
    assert not (deployment.out("1_UM") / "result.json").exists()


def test_a_certificate_that_expires_during_a_fit_is_turned_away_at_the_next_message(certified) -> None:
    """TLS looks at dates when a connection begins, and one may last for days."""
    deployment = certified(site=lambda own: ISSUING.issue(own, NAMES["1_UM"], (-9, -1)))
    presented = {"x509_pem_cert": [deployment.identities["1_UM"].certificate_pem]}
    exchange = Exchange(deployment.study, None, None, None)  # type: ignore[arg-type]
    with pytest.raises(RefusalError, match="the certificate of site 1_UM expired on"):
        exchange._authenticate(SimpleNamespace(auth_context=lambda: presented))  # type: ignore[arg-type]


def test_a_coordinator_out_of_date_does_not_start_and_is_not_believed(certified, address) -> None:
    deployment = certified(coordinator=lambda own: ISSUING.issue(own, NAMES["coordinator"], (-9, -1)))
    coordinator = deployment.coordinator()
    assert coordinator.end() == 3
    assert "the coordinator's certificate in --keys expired on" in coordinator.error


def test_a_coordinator_listens_with_the_studys_certificate_in_date_alone(certified) -> None:
    deployment = certified(coordinator=lambda own: ISSUING.issue(own, NAMES["coordinator"], (-9, -1)))
    with pytest.raises(RefusalError, match="the coordinator's certificate in --keys expired on"):
        server_credentials(deployment.study, deployment.identities["coordinator"])
    with pytest.raises(RefusalError, match="is not the coordinator's in the study"):
        server_credentials(deployment.study, deployment.identities["1_UM"])


def test_a_site_says_that_the_coordinators_certificate_expired(certified, tmp_path: Path) -> None:
    """One that was started in time and runs on."""
    deployment = certified()
    expired = ISSUING.issue(deployment.identities["coordinator"], NAMES["coordinator"], (-9, -1))
    files = deployment.keys("1_UM") / "tls.crt", deployment.keys("1_UM") / "tls.key"
    trust = Trust(ISSUING.pem, NAMES["coordinator"])

    async def play() -> object:
        server = grpc.aio.server()
        credentials = grpc.ssl_server_credentials([(expired.tls_key_pem, expired.certificate_pem)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        try:
            return await asyncio.to_thread(certificate_fault, ("127.0.0.1", port), trust, *files, None, accepted=False)
        finally:
            await server.stop(grace=None)

    assert "the coordinator's certificate expired on" in str(asyncio.run(play()))


BELOW = Authority.make("hospital, printers", ISSUING)


@pytest.mark.parametrize(
    ("authority", "name", "subject"),
    [
        (ISSUING, "fit.example.net", "server"),
        (ISSUING, "*.example.org", "server"),
        (ISSUING, None, NAMES["coordinator"]),
        (BELOW, NAMES["coordinator"], "server"),
    ],
    ids=["another name", "a name with a wildcard", "a name in the subject alone", "another authority below it"],
)
def test_an_impostor_with_a_certificate_of_the_same_authority(
    certified, address, authority: Authority, name: str | None, subject: str
) -> None:
    """A colleague's server is not the coordinator."""
    deployment = certified()
    colleague = authority.issue(deployment.identities["coordinator"], name, subject=subject)
    chain = colleague.certificate_pem + (BELOW.pem.encode() if authority is BELOW else b"")
    (deployment.keys("coordinator") / "tls.key").write_bytes(colleague.tls_key_pem)
    (deployment.keys("coordinator") / "tls.crt").write_bytes(chain)
    text = (deployment.folder / "study.toml").read_text()
    certificate = colleague.certificate_pem.decode()
    keys = parse_public(f'public_key = "{colleague.public_key}"\ncertificate = """\n{certificate}"""\n', "public.toml")
    theirs = deployment.folder / "theirs.toml"
    theirs.write_text(set_coordinator(text, "s", keys, replace=True))
    coordinator = deployment.coordinator(study=theirs)
    site = deployment.site("1_UM", address(coordinator))
    assert site.end() == 3
    assert "the coordinator has another certificate than the one in the study" in site.error


def test_an_authority_must_be_one() -> None:
    def study(**keys: str) -> Study:
        data = {
            "study": {"id": "x"},
            "model": {"formula": "y ~ 1", "family": "binomial", "method": "glm"},
            "variables": {"y": {"type": "binary", "levels": [0, 1]}},
            "sites": [{"name": "a", **keys}],
        }
        return Study.from_dict(data, "s")

    leaf = ISSUING.issue(Identity(b"", b"", b""), "a.example").certificate
    with pytest.raises(InputError, match="is not the certificate of an authority"):
        trust_of(study(certificate_authority=leaf, certificate_name="a.example").sites[0])
    for keys, sentence in (
        ({"certificate_authority": ISSUING.pem}, r"sites\[1\]\.certificate_name: is missing"),
        ({"certificate_name": "a.example"}, r"sites\[1\]\.certificate_name: belongs to certificate_authority"),
        ({"certificate": leaf, "certificate_authority": ISSUING.pem, "certificate_name": "a"}, "keep one of the two"),
        ({"certificate_authority": ISSUING.pem, "certificate_name": "*.example"}, "without wildcards"),
    ):
        with pytest.raises(InputError, match=sentence):
            study(**keys)


def test_whose_certificate_it_is_does_not_rest_on_tls_alone() -> None:
    own, forged = (authority.issue(Identity(b"", b"", b""), "a.example") for authority in (ISSUING, OTHER))
    for trust in (Trust(own.certificate, None), Trust(ISSUING.pem, "a.example")):
        assert trust.knows(certificate_der(own.certificate_pem))
        assert not trust.knows(certificate_der(forged.certificate_pem))


def test_what_is_no_certificate_is_nobodys() -> None:
    """Whoever is on the way may show it: a site must not end with an error of its own, and tell the coordinator."""
    other, key = x509.ObjectIdentifier("2.5.29.99"), ec.generate_private_key(ec.SECP256R1())
    called = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    twice = (
        x509.CertificateBuilder(called, called, key.public_key(), 1, NOW, NOW + timedelta(1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("a.example")]), critical=False)
        .add_extension(x509.UnrecognizedExtension(other, b"\x30\x00"), critical=False)
        .sign(key, SHA256())
        .public_bytes(Encoding.DER)
    )
    trust = Trust(ISSUING.pem, "a.example")
    for der in (
        b"",
        b"\x30\x00",
        twice.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05", 1),
        twice.replace(b"\x55\x1d\x63", b"\x55\x1d\x11"),
    ):
        assert not trust.knows(der)


def test_dates_count_to_the_second() -> None:
    certificate = certificate_der(ISSUING.issue(Identity(b"", b"", b""), "a.example").certificate_pem)
    assert out_of_date(certificate, NOW) == ""
    assert out_of_date(certificate, NOW + timedelta(days=31)).startswith("expired on ")
    assert out_of_date(certificate, NOW - timedelta(days=2)).startswith("is not valid before ")
