"""The gRPC server: TLS with the certificates of the study, one method, bytes in and bytes out.

Beside it the standard services for health and reflection, for whoever has a certificate of the study: a site, or the
operator's own monitoring with the coordinator's.
"""

from __future__ import annotations

from datetime import UTC, datetime

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from fedglmm_coordinator.gate import Gate
from fedglmm_coordinator.limits import options
from fedglmm_coordinator.log import Log
from fedglmm_coordinator.session import Session
from fedglmm_coordinator.transcript import Transcript
from fedglmm_secure import shell
from fedglmm_secure.errors import FedglmmError, LinkError, RefusalError
from fedglmm_secure.study import Study
from fedglmm_secure.wire import status
from fedglmm_secure.wire.certificates import coordinator_trust, out_of_date, site_trusts
from fedglmm_secure.wire.codec import METHOD, decode_site, encode_coordinator
from fedglmm_secure.wire.identity import Identity, certificate_der
from fedglmm_secure.wire.terms import largest_message

Context = grpc.aio.ServicerContext[bytes, bytes]
SERVICE, _, _METHOD_NAME = METHOD[1:].partition("/")


class Exchange:
    """The one method of the service. The site is who the TLS certificate says, never who the message says."""

    def __init__(self, study: Study, session: Session, transcript: Transcript, log: Log) -> None:
        """Serve ``session`` to the sites of ``study``."""
        self._trusts = site_trusts(study)
        self._session, self._transcript, self._log = session, transcript, log

    async def answer(self, data: bytes, context: Context) -> bytes:
        """Answer one message of an authenticated site."""
        try:
            site = self._authenticate(context)
            return await self._answer(site, data)
        except FedglmmError as error:
            code = grpc.StatusCode[status.status_of(error)]
            return await context.abort(code, status.clip_sentence(str(error)))
        except Exception as error:  # such as a full disk: for the operator to mend, while sites try again
            self._session.fail(error)
            return await context.abort(grpc.StatusCode.UNAVAILABLE, "the coordinator cannot go on just now")

    async def _answer(self, site: str, data: bytes) -> bytes:
        self._transcript.record(site, data)
        self._session.count(site, len(data))
        message = decode_site(data)
        self._log.message(site, message, len(data))
        if message.site != site:
            raise RefusalError(
                f"the message is by site {message.site!r}, but the connection has the certificate of "
                f"{site!r}; join with the keys of one site"
            )
        return encode_coordinator(await self._session.exchange(message))

    def party(self, context: Context) -> str:
        """The site whose certificate the connection has, "" for any other."""
        return self._presented(context)[0]

    def _authenticate(self, context: Context) -> str:
        site, certificate = self._presented(context)
        if not site:
            raise RefusalError(
                "this certificate is not in the coordinator's copy of the study; compare the study files"
            )
        if fault := out_of_date(certificate, datetime.now(UTC)):
            raise RefusalError(f"the certificate of site {site} {fault}; renew it")
        return site

    def _presented(self, context: Context) -> tuple[str, bytes]:
        for pem in context.auth_context().get("x509_pem_cert", ()):
            certificate = certificate_der(pem)
            names = [name for name, trust in self._trusts.items() if trust.knows(certificate)]
            if len(names) == 1:
                return names[0], certificate
        return "", b""


async def start_server(
    exchange: Exchange, study: Study, identity: Identity, listen: str
) -> tuple[grpc.aio.Server, str]:
    """A started server and the HOST:PORT it listens at; LinkError when the address cannot be had."""
    shell.parse_address("--listen", listen, "0.0.0.0:7443", lowest=0)
    server = grpc.aio.server(interceptors=(Gate(exchange.party),), options=options(largest_message(study)))
    handler = grpc.unary_unary_rpc_method_handler(exchange.answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {_METHOD_NAME: handler}),))
    await _add_standard_services(server)
    try:
        bound = server.add_secure_port(listen, server_credentials(study, identity))
    except RuntimeError as error:
        raise LinkError(
            f"cannot listen at {listen}: another program does, or the address is not this machine's; choose a free "
            "port of this machine with --listen"
        ) from error
    await server.start()
    return server, f"{listen.rpartition(':')[0]}:{bound}"


async def _add_standard_services(server: grpc.aio.Server) -> None:
    """Health, which is serving while the program runs, and reflection, from which tools learn what there is."""
    servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs do not have it
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for name in ("", SERVICE):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)


def server_credentials(study: Study, identity: Identity) -> grpc.ServerCredentials:
    """TLS in which only the certificates of the study can connect.

    Raises RefusalError when the coordinator's own certificate is not the study's, or out of date.
    """
    own = certificate_der(identity.certificate_pem)
    if not coordinator_trust(study).knows(own):
        raise RefusalError("the certificate in --keys is not the coordinator's in the study; use the keys it names")
    if fault := out_of_date(own, datetime.now(UTC)):
        raise RefusalError(f"the coordinator's certificate in --keys {fault}; renew it")
    trusts = (*site_trusts(study).values(), coordinator_trust(study))
    roots = "\n".join(trust.pem for trust in trusts).encode()
    return grpc.ssl_server_credentials(
        [(identity.clear_tls_key, identity.certificate_pem)], root_certificates=roots, require_client_auth=True
    )
