"""One fit between its parties, without a network, a clock or a disk: what each does with each message.

The programs put gRPC, files and time around it, a rehearsal puts nothing, and the hostile network of a rehearsal
loses, repeats and changes what passes between the two.
"""

from fedglmm_secure.exchange.conductor import Conductor, Fit
from fedglmm_secure.exchange.party import Party, SessionOver, questions_of

__all__ = ["Conductor", "Fit", "Party", "SessionOver", "questions_of"]
