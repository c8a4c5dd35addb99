"""Secure sums: the coordinator learns the sum of the sites' vectors, and nothing else about any one of them.

Both parties are state machines without IO: messages in, messages out; randomness is an argument. ``run``
shows a whole sum without a network.
"""

from fedglmm_secure.securesum.coordinator import Coordinator
from fedglmm_secure.securesum.identity import SigningIdentity
from fedglmm_secure.securesum.messages import Hello, JournalRecord, Phase, Relay, SessionOffer, SumReply, SumRequest
from fedglmm_secure.securesum.protection import Randomness
from fedglmm_secure.securesum.run import open_session, secure_sum, sum_once
from fedglmm_secure.securesum.seed import Seed
from fedglmm_secure.securesum.session import PaillierTerms, Policy, Terms
from fedglmm_secure.securesum.site import Site, Step

__all__ = [
    "Coordinator",
    "Hello",
    "JournalRecord",
    "PaillierTerms",
    "Phase",
    "Policy",
    "Randomness",
    "Relay",
    "Seed",
    "SessionOffer",
    "SigningIdentity",
    "Site",
    "Step",
    "SumReply",
    "SumRequest",
    "Terms",
    "open_session",
    "secure_sum",
    "sum_once",
]
