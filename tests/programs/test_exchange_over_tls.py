"""The server against hand-made clients: who may connect, as whom, and what a bad message gets."""

from __future__ import annotations

import asyncio
import json
import secrets
from datetime import UTC, datetime

import grpc
import grpc.aio
import pytest
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from fedglmm_coordinator.limits import CALLS_OF_A_SITE
from fedglmm_coordinator.log import Log
from fedglmm_coordinator.server import SERVICE, Exchange, server_credentials, start_server
from fedglmm_coordinator.session import Session
from fedglmm_coordinator.transcript import Transcript
from fedglmm_secure.errors import InputError
from fedglmm_secure.exchange import Conductor
from fedglmm_secure.model.questions import Describe
from fedglmm_secure.securesum import Policy, Seed, Site
from fedglmm_secure.wire import identity
from fedglmm_secure.wire.codec import METHOD, decode_coordinator, encode_site
from fedglmm_secure.wire.identity import SERVER_NAME
from fedglmm_secure.wire.limits import MAX_MESSAGE_BYTES
from fedglmm_secure.wire.messages import Ready, SayHello, Wait
from fedglmm_secure.wire.terms import largest_message, terms_of


def one_question(study):
    yield Describe()


@pytest.fixture
def call(deploy, tmp_path):
    """call(data, certificate_of=..., method=...) sends raw bytes to a served session."""
    deployment = deploy()

    def exchange(
        data: bytes, certificate_of: object = "1_UM", method: str = METHOD, *, streams: bool = False, times: int = 1
    ):
        async def play() -> bytes:
            study = deployment.study
            conductor = Conductor(
                study, lambda: one_question(study), randomness=secrets.token_bytes, keep=lambda result: "{}"
            )
            names = [site.name for site in study.sites]
            session = Session(conductor, names, say=lambda line: None, poll_seconds=0.05)
            log = Log(tmp_path / "log.jsonl", lambda: datetime.now(UTC), lambda line: None)
            with Transcript(tmp_path / "transcript.jsonl", lambda: 0.0) as transcript, log:
                handler = Exchange(deployment.study, session, transcript, log)
                own = deployment.identities["coordinator"]
                server, address = await start_server(handler, deployment.study, own, "127.0.0.1:0")
                async with grpc.aio.secure_channel(address, client(certificate_of), options=OPTIONS) as channel:
                    try:
                        if streams:
                            return await anext(aiter(channel.stream_stream(method)(iter([data]), timeout=10.0)))
                        calls = [channel.unary_unary(method)(data, timeout=10.0) for _ in range(times)]
                        if times > 1:
                            return [(await each.code()).name for each in calls]
                        return await calls[0]
                    finally:
                        await server.stop(grace=None)

        return asyncio.run(play())

    def client(certificate_of: object) -> grpc.ChannelCredentials:
        root = deployment.identities["coordinator"].certificate_pem
        if certificate_of is None:
            return grpc.ssl_channel_credentials(root)
        known = isinstance(certificate_of, str)
        own = deployment.identities[certificate_of] if known else certificate_of
        return grpc.ssl_channel_credentials(root, own.tls_key_pem, own.certificate_pem)

    exchange.deployment = deployment
    return exchange


REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
OPTIONS = (
    ("grpc.ssl_target_name_override", SERVER_NAME),
    ("grpc.max_send_message_length", 2 * MAX_MESSAGE_BYTES),
)


def hello(call, name: str = "1_UM") -> bytes:
    deployment = call.deployment
    signing, seed = deployment.identities[name].signing, Seed(secrets.token_bytes(32))
    site = Site(terms_of(deployment.study), signing, Policy(), seed, randomness=secrets.token_bytes)
    return encode_site(site.hello())


def failure(call, *arguments, **options) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        call(*arguments, **options)
    return raised.value.code().name, raised.value.details()


def test_a_site_of_the_roster_is_answered_and_recorded(call, tmp_path):
    data = hello(call)
    assert decode_coordinator(call(data)) == Wait()
    (line,) = (tmp_path / "transcript.jsonl").read_text().splitlines()
    assert json.loads(line)["site"] == "1_UM"


def test_the_message_of_one_site_over_the_certificate_of_another(call):
    code, details = failure(call, hello(call, "1_UM"), certificate_of="2_IU")
    assert code == "PERMISSION_DENIED"
    assert "'1_UM', but the connection has the certificate of '2_IU'" in details


@pytest.mark.parametrize("who", [None, identity.generate()], ids=["no certificate", "a stranger's"])
def test_a_certificate_that_is_not_in_the_study(call, who, tmp_path):
    assert failure(call, hello(call), certificate_of=who)[0] == "UNAVAILABLE"
    assert (tmp_path / "transcript.jsonl").read_text() == ""


def test_a_connection_without_a_known_certificate_is_turned_away_even_behind_tls(call, tmp_path):
    """What stands behind TLS when TLS is set up wrongly: a context that names a stranger, or nobody."""
    session = None  # never reached
    with Transcript(tmp_path / "transcript.jsonl", lambda: 0.0) as transcript:
        handler = Exchange(call.deployment.study, session, transcript, None)
        for presented in ({}, {"x509_pem_cert": [identity.generate().certificate_pem]}):
            context = Context(presented)
            with pytest.raises(ConnectionAbortedError, match="PERMISSION_DENIED: this certificate is not in"):
                asyncio.run(handler.answer(hello(call), context))
    assert (tmp_path / "transcript.jsonl").read_text() == ""


class Context:
    """As much of a gRPC context as the server looks at."""

    def __init__(self, presented: dict[str, list[bytes]]) -> None:
        self._presented = presented

    def auth_context(self) -> dict[str, list[bytes]]:
        return self._presented

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise ConnectionAbortedError(f"{code.name}: {details}")


def test_the_coordinators_own_certificate_is_no_sites(call):
    """It may look at the health of its own program, and may not say a word in the study."""
    code, details = failure(call, hello(call), certificate_of="coordinator")
    assert code == "PERMISSION_DENIED"
    assert "not in the coordinator's copy of the study" in details
    checked = call(b"", certificate_of="coordinator", method="/grpc.health.v1.Health/Check")
    assert health_pb2.HealthCheckResponse.FromString(checked).status == health_pb2.HealthCheckResponse.SERVING


def test_health_of_the_one_service(call):
    asked = health_pb2.HealthCheckRequest(service=SERVICE).SerializeToString()
    checked = call(asked, method="/grpc.health.v1.Health/Check")
    assert health_pb2.HealthCheckResponse.FromString(checked).status == health_pb2.HealthCheckResponse.SERVING
    unknown = health_pb2.HealthCheckRequest(service="another").SerializeToString()
    assert failure(call, unknown, method="/grpc.health.v1.Health/Check")[0] == "NOT_FOUND"


def test_reflection_names_what_there_is(call):
    asked = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    answer = reflection_pb2.ServerReflectionResponse.FromString(call(asked, method=REFLECTION, streams=True))
    assert SERVICE in [service.name for service in answer.list_services_response.service]
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE).SerializeToString()
    answer = reflection_pb2.ServerReflectionResponse.FromString(call(asked, method=REFLECTION, streams=True))
    assert answer.file_descriptor_response.file_descriptor_proto


def test_a_client_that_knows_only_what_reflection_tells_is_refused_politely(call):
    """As ``buf curl`` or grpcurl: no code of this package, its messages are made from what the server describes."""
    pool = descriptor_pool.DescriptorPool()
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE).SerializeToString()
    answer = reflection_pb2.ServerReflectionResponse.FromString(call(asked, method=REFLECTION, streams=True))
    for described in answer.file_descriptor_response.file_descriptor_proto:
        pool.AddSerializedFile(described)
    (method,) = pool.FindServiceByName(SERVICE).methods
    message = message_factory.GetMessageClass(method.input_type)
    for words, sentence in (
        ({}, "a site sent a message of an unknown kind"),
        ({"ready": {"site": "2_IU"}}, "a session id has 32 bytes, not 0"),
        ({"hello": {"site": "1_UM", "study_digest": bytes(32)}}, "32 bytes"),
    ):
        data = message(**words).SerializeToString()
        code, details = failure(call, data, method=f"/{SERVICE}/{method.name}")
        assert code == "FAILED_PRECONDITION"
        assert sentence in details
        assert failure(call, data, certificate_of="coordinator")[0] == "PERMISSION_DENIED"


def test_a_site_with_too_many_calls_is_told_to_wait(call):
    """Each call is a poll of a site that has said hello already."""
    codes = call(hello(call), times=CALLS_OF_A_SITE + 1)
    assert codes.count("UNAVAILABLE") == 1
    assert codes.count("OK") == CALLS_OF_A_SITE


@pytest.mark.parametrize("data", [b"", b"\xff\xff", bytes(1000)])
def test_bytes_that_are_no_message(call, data):
    assert failure(call, data)[0] == "FAILED_PRECONDITION"


def test_a_poll_without_a_session(call):
    assert decode_coordinator(call(encode_site(Ready("1_UM", bytes(32), 3)))) == SayHello()


def test_a_message_that_is_too_large(call, tmp_path):
    """Larger than any message of this study: no site needs as much as the format allows."""
    largest = largest_message(call.deployment.study)
    assert largest < MAX_MESSAGE_BYTES // 100
    assert failure(call, bytes(largest + 1))[0] == "RESOURCE_EXHAUSTED"
    assert (tmp_path / "transcript.jsonl").read_text() == ""


def test_an_unknown_method(call):
    assert failure(call, hello(call), method=METHOD + "s")[0] == "UNIMPLEMENTED"


def test_a_study_without_certificates_cannot_be_served(call, draft):
    own = call.deployment.identities["coordinator"]
    with pytest.raises(InputError, match="no coordinator certificate"):
        server_credentials(draft, own)
    with pytest.raises(InputError, match="no certificate in the study for 1_UM, 2_IU, 3_UK, 4_Case"):
        server_credentials(draft.replaced(coordinator_certificate=own.certificate), own)
