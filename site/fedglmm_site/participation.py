"""Taking part in one fit, from the seed and journal on disk to the result: begun, gone on with, or begun anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fedglmm_secure.exchange import Party, SessionOver, questions_of
from fedglmm_secure.securesum import Policy, Randomness, Seed, SigningIdentity, Site
from fedglmm_secure.study import Study
from fedglmm_secure.study.site_rows import SiteRows
from fedglmm_secure.wire.messages import Finished
from fedglmm_secure.wire.terms import terms_of
from fedglmm_site.agent import Agent, Link
from fedglmm_site.journal import Journal, SeedFile

Keep = Callable[[Finished, int], None]
"""Takes the result and the number of sums that were answered; returns when both are where a crash cannot take them."""


@dataclass(frozen=True)
class Participation:
    """What a site brings to a fit. Its ``repr`` hides its keys and its table."""

    study: Study
    judged: Study
    """The study with the disclosure limits that this site enforces, which may be stricter."""
    rows: SiteRows
    signing: SigningIdentity
    policy: Policy
    randomness: Randomness
    share: object
    """The site's share of the study's Paillier key, None for other protocols."""
    table: bytes = field(repr=False)
    """The table file, of which ``rows`` are made."""

    def take_part(self, folder: Path, link: Link, keep: Keep, say: Callable[[str], None]) -> int:
        """Answer questions until the result is there, which ``keep`` puts on disk; how many sums were answered.

        A session of this folder that has not ended goes on; when the coordinator does not know it any more, another one
        begins, with a new seed. The seed is forgotten when the result is kept, before the coordinator hears of it.
        """
        seeds = SeedFile(folder, self.study.digest)

        def end(finished: Finished, sums: int) -> None:
            keep(finished, sums)
            seeds.forget()

        with Journal(folder / "journal.jsonl") as journal:
            machine = self._machine(seeds.read_or_draw(self.randomness), journal.sessions)
            records = journal.session_of(machine.hello())
            self.rows.recall(questions_of(journal.before(machine.hello())))
            if records:
                say("going on in the session of this folder's journal")
            try:
                self._agent(machine, journal, link, end, say).run(records)
            except SessionOver:
                if not records:
                    raise
                say("the coordinator does not know that session any more; beginning another one")
                machine = self._machine(seeds.draw(self.randomness), journal.sessions)
                self._agent(machine, journal, link, end, say).run()
            return machine.sums

    def _machine(self, seed: Seed, earlier: frozenset[bytes]) -> Site:
        return Site(
            terms_of(self.study), self.signing, self.policy, seed.for_table(self.table),
            randomness=self.randomness, earlier_sessions=earlier, share=self.share,
        )  # fmt: skip

    def _agent(self, machine: Site, journal: Journal, link: Link, keep: Keep, say: Callable[[str], None]) -> Agent:
        party = Party(self.judged, self.rows, machine, journal.append, say)
        return Agent(machine.name, party, link, lambda finished: keep(finished, machine.sums))
