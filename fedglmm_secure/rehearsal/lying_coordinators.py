"""The lies of a coordinator, all of them, and one that does not look at what sites send, so that they must."""

from __future__ import annotations

from dataclasses import replace

from fedglmm_secure.rehearsal import lies_about_questions, lies_about_relays, lies_about_sessions
from fedglmm_secure.rehearsal.liars import LyingCoordinator
from fedglmm_secure.securesum import Coordinator, SumReply, Terms
from fedglmm_secure.securesum.messages import Advertisement, Agreement, Commitment, Opening
from fedglmm_secure.securesum.protection import Collected


class BlindCoordinator(Coordinator):
    """Believes every signature and opening, so that a lie gets as far as the sites, who must find it themselves."""

    def __init__(self, terms: Terms) -> None:
        """As the honest one, without these checks."""
        super().__init__(terms)
        check = self._protection.check

        def believe(collected: Collected, message: SumReply) -> None:
            if not isinstance(message, Advertisement | Agreement | Commitment | Opening):
                check(collected, message)

        self._protection = replace(self._protection, check=believe)


LYING_COORDINATORS: tuple[type[LyingCoordinator], ...] = tuple(
    kind
    for module in (lies_about_questions, lies_about_sessions, lies_about_relays)
    for name, kind in vars(module).items()
    if isinstance(kind, type) and kind.__module__ == module.__name__ and not name.startswith("_")
)
"""Every kind, in the order of the files."""
