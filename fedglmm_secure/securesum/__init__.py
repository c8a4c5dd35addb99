"""Secure sums: the coordinator learns the sum of the sites' vectors, and nothing else about any one of them.

Both parties are state machines without IO: messages in, messages out; randomness is an argument. ``run``
shows a whole sum without a network.
"""

from fedglmm_secure.securesum.coordinator import Coordinator
from fedglmm_secure.securesum.identity import SigningIdentity
from fedglmm_secure.securesum.messages import Contribution, Hello, JournalRecord, SessionOffer, SumRequest
from fedglmm_secure.securesum.protection import Randomness
from fedglmm_secure.securesum.run import open_session, secure_sum, sum_once
from fedglmm_secure.securesum.session import Policy, Terms
from fedglmm_secure.securesum.site import Site

__all__ = [
    "Contribution",
    "Coordinator",
    "Hello",
    "JournalRecord",
    "Policy",
    "Randomness",
    "SessionOffer",
    "SigningIdentity",
    "Site",
    "SumRequest",
    "Terms",
    "open_session",
    "secure_sum",
    "sum_once",
]
