from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_UNSPECIFIED: _ClassVar[Phase]
    PHASE_ADVERTISE: _ClassVar[Phase]
    PHASE_SHARE: _ClassVar[Phase]
    PHASE_CONTRIBUTE: _ClassVar[Phase]
    PHASE_AGREE: _ClassVar[Phase]
    PHASE_UNMASK: _ClassVar[Phase]
    PHASE_COMMIT: _ClassVar[Phase]
    PHASE_OPEN: _ClassVar[Phase]
    PHASE_DECRYPT: _ClassVar[Phase]

class Part(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PART_UNSPECIFIED: _ClassVar[Part]
    PART_ALL: _ClassVar[Part]
    PART_TRAINING: _ClassVar[Part]

class Category(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CATEGORY_UNSPECIFIED: _ClassVar[Category]
    CATEGORY_INTERNAL: _ClassVar[Category]
    CATEGORY_INPUT: _ClassVar[Category]
    CATEGORY_REFUSED: _ClassVar[Category]
    CATEGORY_FIT: _ClassVar[Category]
    CATEGORY_LINK: _ClassVar[Category]
    CATEGORY_PROTOCOL: _ClassVar[Category]
PHASE_UNSPECIFIED: Phase
PHASE_ADVERTISE: Phase
PHASE_SHARE: Phase
PHASE_CONTRIBUTE: Phase
PHASE_AGREE: Phase
PHASE_UNMASK: Phase
PHASE_COMMIT: Phase
PHASE_OPEN: Phase
PHASE_DECRYPT: Phase
PART_UNSPECIFIED: Part
PART_ALL: Part
PART_TRAINING: Part
CATEGORY_UNSPECIFIED: Category
CATEGORY_INTERNAL: Category
CATEGORY_INPUT: Category
CATEGORY_REFUSED: Category
CATEGORY_FIT: Category
CATEGORY_LINK: Category
CATEGORY_PROTOCOL: Category

class SiteMessage(_message.Message):
    __slots__ = ("hello", "contribution", "ready", "refusal", "advertisement", "key_shares", "agreement", "unmasking", "commitment", "opening", "decryption")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    ADVERTISEMENT_FIELD_NUMBER: _ClassVar[int]
    KEY_SHARES_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    UNMASKING_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    OPENING_FIELD_NUMBER: _ClassVar[int]
    DECRYPTION_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    contribution: Contribution
    ready: Ready
    refusal: Refusal
    advertisement: Advertisement
    key_shares: KeyShares
    agreement: Agreement
    unmasking: Unmasking
    commitment: Commitment
    opening: Opening
    decryption: Decryption
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., contribution: _Optional[_Union[Contribution, _Mapping]] = ..., ready: _Optional[_Union[Ready, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ..., advertisement: _Optional[_Union[Advertisement, _Mapping]] = ..., key_shares: _Optional[_Union[KeyShares, _Mapping]] = ..., agreement: _Optional[_Union[Agreement, _Mapping]] = ..., unmasking: _Optional[_Union[Unmasking, _Mapping]] = ..., commitment: _Optional[_Union[Commitment, _Mapping]] = ..., opening: _Optional[_Union[Opening, _Mapping]] = ..., decryption: _Optional[_Union[Decryption, _Mapping]] = ...) -> None: ...

class CoordinatorMessage(_message.Message):
    __slots__ = ("next", "finished", "stopped", "wait", "relay", "say_hello", "send_again")
    NEXT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    STOPPED_FIELD_NUMBER: _ClassVar[int]
    WAIT_FIELD_NUMBER: _ClassVar[int]
    RELAY_FIELD_NUMBER: _ClassVar[int]
    SAY_HELLO_FIELD_NUMBER: _ClassVar[int]
    SEND_AGAIN_FIELD_NUMBER: _ClassVar[int]
    next: Next
    finished: Finished
    stopped: Stopped
    wait: Wait
    relay: Relay
    say_hello: SayHello
    send_again: SendAgain
    def __init__(self, next: _Optional[_Union[Next, _Mapping]] = ..., finished: _Optional[_Union[Finished, _Mapping]] = ..., stopped: _Optional[_Union[Stopped, _Mapping]] = ..., wait: _Optional[_Union[Wait, _Mapping]] = ..., relay: _Optional[_Union[Relay, _Mapping]] = ..., say_hello: _Optional[_Union[SayHello, _Mapping]] = ..., send_again: _Optional[_Union[SendAgain, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("site", "study_digest", "nonce", "mask_public_key", "signature")
    SITE_FIELD_NUMBER: _ClassVar[int]
    STUDY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    MASK_PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    site: str
    study_digest: bytes
    nonce: bytes
    mask_public_key: bytes
    signature: bytes
    def __init__(self, site: _Optional[str] = ..., study_digest: _Optional[bytes] = ..., nonce: _Optional[bytes] = ..., mask_public_key: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Contribution(_message.Message):
    __slots__ = ("session_id", "number", "site", "vector", "commitment", "sealed")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    VECTOR_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    number: int
    site: str
    vector: bytes
    commitment: bytes
    sealed: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, session_id: _Optional[bytes] = ..., number: _Optional[int] = ..., site: _Optional[str] = ..., vector: _Optional[bytes] = ..., commitment: _Optional[bytes] = ..., sealed: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Advertisement(_message.Message):
    __slots__ = ("session_id", "number", "site", "wrap_keys", "mask_keys", "signature")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    WRAP_KEYS_FIELD_NUMBER: _ClassVar[int]
    MASK_KEYS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    number: int
    site: str
    wrap_keys: _containers.RepeatedScalarFieldContainer[bytes]
    mask_keys: _containers.RepeatedScalarFieldContainer[bytes]
    signature: bytes
    def __init__(self, session_id: _Optional[bytes] = ..., number: _Optional[int] = ..., site: _Optional[str] = ..., wrap_keys: _Optional[_Iterable[bytes]] = ..., mask_keys: _Optional[_Iterable[bytes]] = ..., signature: _Optional[bytes] = ...) -> None: ...

class KeyShares(_message.Message):
    __slots__ = ("session_id", "number", "site", "sealed")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    number: int
    site: str
    sealed: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, session_id: _Optional[bytes] = ..., number: _Optional[int] = ..., site: _Optional[str] = ..., sealed: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Agreement(_message.Message):
    __slots__ = ("session_id", "number", "site", "survivors", "signature")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    SURVIVORS_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    number: int
    site: str
    survivors: _containers.RepeatedScalarFieldContainer[str]
    signature: bytes
    def __init__(self, session_id: _Optional[bytes] = ..., number: _Optional[int] = ..., site: _Optional[str] = ..., survivors: _Optional[_Iterable[str]] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Unmasking(_message.Message):
    __slots__ = ("session_id", "number", "site", "shares")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    number: int
    site: str
    shares: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, session_id: _Optional[bytes] = ..., number: _Optional[int] = ..., site: _Optional[str] = ..., shares: _Optional[_Iterable[bytes]] = ...) -> None: ...

class Commitment(_message.Message):
    __slots__ = ("session_id", "number", "site", "digest", "signature")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    number: int
    site: str
    digest: bytes
    signature: bytes
    def __init__(self, session_id: _Optional[bytes] = ..., number: _Optional[int] = ..., site: _Optional[str] = ..., digest: _Optional[bytes] = ..., signature: _Optional[bytes] = ...) -> None: ...

class Opening(_message.Message):
    __slots__ = ("session_id", "number", "site", "nonce", "ciphertexts")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    CIPHERTEXTS_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    number: int
    site: str
    nonce: bytes
    ciphertexts: bytes
    def __init__(self, session_id: _Optional[bytes] = ..., number: _Optional[int] = ..., site: _Optional[str] = ..., nonce: _Optional[bytes] = ..., ciphertexts: _Optional[bytes] = ...) -> None: ...

class Decryption(_message.Message):
    __slots__ = ("session_id", "number", "site", "partials")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    SITE_FIELD_NUMBER: _ClassVar[int]
    PARTIALS_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    number: int
    site: str
    partials: bytes
    def __init__(self, session_id: _Optional[bytes] = ..., number: _Optional[int] = ..., site: _Optional[str] = ..., partials: _Optional[bytes] = ...) -> None: ...

class Ready(_message.Message):
    __slots__ = ("site", "session_id", "last_sum", "phase")
    SITE_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_SUM_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    site: str
    session_id: bytes
    last_sum: int
    phase: Phase
    def __init__(self, site: _Optional[str] = ..., session_id: _Optional[bytes] = ..., last_sum: _Optional[int] = ..., phase: _Optional[_Union[Phase, str]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("site", "category", "sentence")
    SITE_FIELD_NUMBER: _ClassVar[int]
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    site: str
    category: Category
    sentence: str
    def __init__(self, site: _Optional[str] = ..., category: _Optional[_Union[Category, str]] = ..., sentence: _Optional[str] = ...) -> None: ...

class Relay(_message.Message):
    __slots__ = ("session_id", "number", "phase", "parts")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    number: int
    phase: Phase
    parts: _containers.RepeatedCompositeFieldContainer[RelayPart]
    def __init__(self, session_id: _Optional[bytes] = ..., number: _Optional[int] = ..., phase: _Optional[_Union[Phase, str]] = ..., parts: _Optional[_Iterable[_Union[RelayPart, _Mapping]]] = ...) -> None: ...

class RelayPart(_message.Message):
    __slots__ = ("advertisement", "parcel", "agreement", "commitment", "opening")
    ADVERTISEMENT_FIELD_NUMBER: _ClassVar[int]
    PARCEL_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    OPENING_FIELD_NUMBER: _ClassVar[int]
    advertisement: Advertisement
    parcel: Parcel
    agreement: Agreement
    commitment: Commitment
    opening: Opening
    def __init__(self, advertisement: _Optional[_Union[Advertisement, _Mapping]] = ..., parcel: _Optional[_Union[Parcel, _Mapping]] = ..., agreement: _Optional[_Union[Agreement, _Mapping]] = ..., commitment: _Optional[_Union[Commitment, _Mapping]] = ..., opening: _Optional[_Union[Opening, _Mapping]] = ...) -> None: ...

class Parcel(_message.Message):
    __slots__ = ("site", "sealed", "commitment")
    SITE_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_FIELD_NUMBER: _ClassVar[int]
    site: str
    sealed: bytes
    commitment: bytes
    def __init__(self, site: _Optional[str] = ..., sealed: _Optional[bytes] = ..., commitment: _Optional[bytes] = ...) -> None: ...

class SayHello(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SendAgain(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Next(_message.Message):
    __slots__ = ("offer", "request")
    OFFER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    offer: SessionOffer
    request: SumRequest
    def __init__(self, offer: _Optional[_Union[SessionOffer, _Mapping]] = ..., request: _Optional[_Union[SumRequest, _Mapping]] = ...) -> None: ...

class SessionOffer(_message.Message):
    __slots__ = ("coordinator_nonce", "hellos")
    COORDINATOR_NONCE_FIELD_NUMBER: _ClassVar[int]
    HELLOS_FIELD_NUMBER: _ClassVar[int]
    coordinator_nonce: bytes
    hellos: _containers.RepeatedCompositeFieldContainer[Hello]
    def __init__(self, coordinator_nonce: _Optional[bytes] = ..., hellos: _Optional[_Iterable[_Union[Hello, _Mapping]]] = ...) -> None: ...

class SumRequest(_message.Message):
    __slots__ = ("session_id", "number", "participants", "question", "length")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PARTICIPANTS_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    session_id: bytes
    number: int
    participants: _containers.RepeatedScalarFieldContainer[str]
    question: Question
    length: int
    def __init__(self, session_id: _Optional[bytes] = ..., number: _Optional[int] = ..., participants: _Optional[_Iterable[str]] = ..., question: _Optional[_Union[Question, _Mapping]] = ..., length: _Optional[int] = ...) -> None: ...

class Question(_message.Message):
    __slots__ = ("describe", "marginal_derivatives", "held_out_likelihood", "working_derivatives")
    DESCRIBE_FIELD_NUMBER: _ClassVar[int]
    MARGINAL_DERIVATIVES_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_LIKELIHOOD_FIELD_NUMBER: _ClassVar[int]
    WORKING_DERIVATIVES_FIELD_NUMBER: _ClassVar[int]
    describe: Describe
    marginal_derivatives: MarginalDerivatives
    held_out_likelihood: HeldOutLikelihood
    working_derivatives: WorkingDerivatives
    def __init__(self, describe: _Optional[_Union[Describe, _Mapping]] = ..., marginal_derivatives: _Optional[_Union[MarginalDerivatives, _Mapping]] = ..., held_out_likelihood: _Optional[_Union[HeldOutLikelihood, _Mapping]] = ..., working_derivatives: _Optional[_Union[WorkingDerivatives, _Mapping]] = ...) -> None: ...

class Describe(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class MarginalDerivatives(_message.Message):
    __slots__ = ("theta", "nodes", "columns", "description", "part")
    THETA_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    theta: _containers.RepeatedScalarFieldContainer[float]
    nodes: int
    columns: _containers.RepeatedScalarFieldContainer[int]
    description: _containers.RepeatedScalarFieldContainer[float]
    part: Part
    def __init__(self, theta: _Optional[_Iterable[float]] = ..., nodes: _Optional[int] = ..., columns: _Optional[_Iterable[int]] = ..., description: _Optional[_Iterable[float]] = ..., part: _Optional[_Union[Part, str]] = ...) -> None: ...

class HeldOutLikelihood(_message.Message):
    __slots__ = ("thetas", "nodes", "columns", "description")
    THETAS_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    thetas: _containers.RepeatedCompositeFieldContainer[Theta]
    nodes: int
    columns: _containers.RepeatedScalarFieldContainer[int]
    description: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, thetas: _Optional[_Iterable[_Union[Theta, _Mapping]]] = ..., nodes: _Optional[int] = ..., columns: _Optional[_Iterable[int]] = ..., description: _Optional[_Iterable[float]] = ...) -> None: ...

class Theta(_message.Message):
    __slots__ = ("entries",)
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, entries: _Optional[_Iterable[float]] = ...) -> None: ...

class WorkingDerivatives(_message.Message):
    __slots__ = ("theta", "columns", "description")
    THETA_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    theta: _containers.RepeatedScalarFieldContainer[float]
    columns: _containers.RepeatedScalarFieldContainer[int]
    description: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, theta: _Optional[_Iterable[float]] = ..., columns: _Optional[_Iterable[int]] = ..., description: _Optional[_Iterable[float]] = ...) -> None: ...

class Finished(_message.Message):
    __slots__ = ("result_json",)
    RESULT_JSON_FIELD_NUMBER: _ClassVar[int]
    result_json: str
    def __init__(self, result_json: _Optional[str] = ...) -> None: ...

class Stopped(_message.Message):
    __slots__ = ("category", "sentence")
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    category: Category
    sentence: str
    def __init__(self, category: _Optional[_Union[Category, str]] = ..., sentence: _Optional[str] = ...) -> None: ...

class Wait(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
