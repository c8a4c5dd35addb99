"""One hostile schedule: a small study, a weather and perhaps a liar, all from one seed; and how the run must end.

Whatever happens, a run ends in the exact answer or in a named stop. ``violations`` lists what is otherwise.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import TypeVar

import gmpy2
import pandas as pd

from fedglmm_secure import ring
from fedglmm_secure.errors import FedglmmError, LinkError, PeerError, RefusalError
from fedglmm_secure.estimate import FitResult
from fedglmm_secure.estimate.estimator import estimator
from fedglmm_secure.exchange import Conductor, Party
from fedglmm_secure.exchange.conductor import Fit
from fedglmm_secure.rehearsal.hostile import MOST_STEPS, HostileNetwork
from fedglmm_secure.rehearsal.liars import Lie, LyingCoordinator, Situation
from fedglmm_secure.rehearsal.lying_coordinators import LYING_COORDINATORS, BlindCoordinator
from fedglmm_secure.rehearsal.lying_sites import LYING_SITES, LyingSite
from fedglmm_secure.rehearsal.network import Keep, SiteAtHand
from fedglmm_secure.rehearsal.weather import CALM, Weather
from fedglmm_secure.ring import Vector
from fedglmm_secure.securesum import (
    Coordinator,
    Hello,
    PaillierTerms,
    Policy,
    Randomness,
    Seed,
    SigningIdentity,
    Site,
    Terms,
)
from fedglmm_secure.securesum.paillier import share, smallest_threshold
from fedglmm_secure.securesum.seed import SEED_BYTES
from fedglmm_secure.study import DividableDesign, Study
from fedglmm_secure.study.roster import encode_public_key
from fedglmm_secure.study.site_rows import SiteRows
from fedglmm_secure.wire import codec
from fedglmm_secure.wire.messages import Ready, Refusal, Stopped
from fedglmm_secure.wire.terms import terms_of

L = TypeVar("L", bound=Lie)

PAILLIER_PRIME_BITS = 256
"""Far too few for a study, which may not have them; enough for a packed plaintext, and fast."""
LONG_FITS = 8
"""One schedule in so many has more sums than one batch of keys."""
DROPOUTS = {4: 1, 5: 1, 7: 2}
"""How many sites a roster may lose, where it may lose any."""


@dataclass(frozen=True)
class Ground:
    """What a run stands on: the study and its terms, every site's rows and keys."""

    study: Study
    terms: Terms
    designs: Mapping[str, DividableDesign]
    signing: Mapping[str, SigningIdentity]
    shares: Mapping[str, object]


@dataclass(frozen=True)
class Schedule:
    """A run to be made. ``Schedule.of(seed)`` draws one; the same seed always draws the same."""

    seed: int
    protocol: str
    """As in PROTOCOLS."""
    sites: int
    is_long: bool
    weather: Weather
    coordinator: type[LyingCoordinator] | None = None
    is_blind: bool = False
    """Whether the coordinator believes all messages, so that sites must find its lie themselves."""
    site: type[LyingSite] | None = None

    @classmethod
    def of(cls, seed: int) -> Schedule:
        """Protocol, roster, weather and liar by the dice of ``seed``."""
        dice = random.Random(seed)  # noqa: S311  no secret: it must repeat
        protocol = dice.choice(sorted(PROTOCOLS))
        sites = dice.choice([4, 4, 5, 7]) if "lose" in protocol else dice.choice([3, 4, 5])
        drawn = cls(seed, protocol, sites, dice.randrange(LONG_FITS) == 0, CALM)
        terms = ground(protocol, sites, is_long=False).terms
        fair, foul = Weather(seed), Weather(seed, 0.15, 0.15, 0.05, 0.2, 0.1, 0.1, crashes=0.08, absences=0.3)
        match dice.choice(["nobody", "nobody", "coordinator", "site"]):
            case "coordinator":
                lie = dice.choice(_kinds(LYING_COORDINATORS, terms, dice))
                weather = dice.choice([CALM, fair, foul])
                return replace(drawn, weather=weather, coordinator=lie, is_blind=dice.random() < 0.5)
            case "site":
                liar = dice.choice(_kinds(LYING_SITES, terms, dice))
                return replace(drawn, weather=dice.choice([CALM, fair, foul]), site=liar)
            case _:
                lost, old = replace(foul, gone=0.05), replace(fair, stale=0.05)
                return replace(drawn, weather=dice.choice([fair, foul, foul, lost, old]))

    def __str__(self) -> str:
        liar = self.coordinator or self.site
        who = f", {liar.__name__}{' (believes all)' * self.is_blind}" if liar else ""
        return f"schedule {self.seed}: {self.protocol}, {self.sites} sites{', long' * self.is_long}{who}"


@dataclass
class Outcome:
    """How a run ended."""

    schedule: Schedule
    end: str
    """"exact", or the class of the error that stopped it."""
    sentence: str
    steps: int
    messages: int
    weather: str
    was_lied_to: bool
    violations: list[str] = field(default_factory=list)


PROTOCOLS: Mapping[str, Mapping[str, str]] = {
    "masking": {},
    "masking, may lose some, waits": {"on_dropout": "wait"},
    "masking, may lose some, excludes": {"on_dropout": "exclude"},
    "paillier": {},
    "paillier, may lose some, excludes": {"on_dropout": "exclude"},
    "plain": {},
}
"""Each kind of sum, and what the study says about lost sites."""


def run(schedule: Schedule) -> Outcome:
    """Make the run and judge it; an exception outside the error tree is raised as it is."""
    run = _Run(schedule)
    try:
        run.network.run()
        end, sentence = "exact", ""
    except FedglmmError as error:
        end, sentence = type(error).__name__, str(error)
    network = run.network
    outcome = Outcome(
        schedule, end, sentence, network.steps, len(network.transcript), network.summary, run.was_lied_to()
    )
    outcome.violations.extend(run.violations(outcome))
    return outcome


def _kinds(kinds: Sequence[type[L]], terms: Terms, dice: random.Random) -> list[type[L]]:
    """Those that can be told under these terms; half of the time those of few protocols, which are rarer."""
    fitting = [kind for kind in kinds if kind.fits(terms)]
    rare = [kind for kind in fitting if len(kind.schemes) <= 2]
    return dice.choice([fitting, rare or fitting])


class _Run:
    """The parties of one run, and what must hold when it is over."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.ground = on = ground(schedule.protocol, schedule.sites, is_long=schedule.is_long)
        draw, dice = drawer(f"run {schedule.seed}"), random.Random(schedule.seed)  # noqa: S311  it must repeat
        names = on.terms.names
        self.liar_name = dice.choice(names)
        stranger = SigningIdentity.from_private_bytes(draw(32))
        knows = Situation(
            on.terms, dice, stranger, partial(_old_hellos, schedule.protocol, schedule.sites, schedule.is_long)
        )
        self.coordinator = schedule.coordinator(knows) if schedule.coordinator else None
        own = on.signing[self.liar_name]
        self.site = schedule.site(Situation(on.terms, dice, own)) if schedule.site else None
        self.fits: list[tuple[tuple[str, ...], list[bytes]]] = []
        """The cohort of each start of the estimator, and the sums it was told."""
        machine = (BlindCoordinator if schedule.is_blind else Coordinator)(on.terms)
        self.conductor = conductor = Conductor(
            on.study, self._fit, randomness=draw, keep=FitResult.to_json, machine=machine
        )
        sites = {name: self._site(name, draw) for name in names}
        self.network = HostileNetwork(
            conductor,
            sites,
            schedule.weather,
            coordinator=self.coordinator,
            liars={self.liar_name: self.site} if self.site else {},
            flotsam=earlier_session(schedule.protocol, schedule.sites, schedule.is_long)
            if schedule.weather.stale
            else (),
        )

    def was_lied_to(self) -> bool:
        """Whether a lie reached somebody."""
        return bool(self.network.lies_heard or (self.site and self.site.told))

    def violations(self, outcome: Outcome) -> Iterator[str]:
        """Each property that does not hold."""
        yield from self._wrong_sums(outcome)
        yield from second_answers(self.network.sent, except_for=self.liar_name if self.site else None)
        yield from (f"{site} sent {message!r} before its journal had it" for site, message in self.network.early)
        if outcome.steps >= MOST_STEPS:
            yield "it hangs"
        if outcome.end == FedglmmError.__name__:
            yield f"an error of no class: {outcome.sentence}"
        yield from self._wrong_end(outcome)

    def _wrong_sums(self, outcome: Outcome) -> Iterator[str]:
        """Every sum that the estimator was told is that of its cohort, to the bit; at the end all of them are there."""
        if self.site and self.site.about_data:
            return
        for cohort, sums in self.fits:
            expected = exact_sums(self.schedule.protocol, self.schedule.sites, self.schedule.is_long, cohort)
            whole = outcome.end == "exact" and (cohort, sums) == self.fits[-1]
            if tuple(sums) != (expected if whole else expected[: len(sums)]):
                yield f"a wrong sum over {', '.join(cohort)}"

    def _wrong_end(self, outcome: Outcome) -> Iterator[str]:
        """It ends as it must: see ``Lie.stops`` and ``Weather``."""
        errors = self._errors()
        lie = self.coordinator or self.site
        if lie is None or not outcome.was_lied_to:
            may_stop = self._weathers_stops()
            if outcome.end != "exact" and not any(isinstance(error, may_stop) for error in errors):
                yield f"stopped by the weather alone: {outcome.end}: {outcome.sentence}"
        elif outcome.end == "exact":
            left_out = self.site and self.liar_name not in self.conductor.cohort  # what it said was of no use
            if not (lie.harmless or left_out):
                yield f"{type(lie).__name__} was not found out"
        elif not any(isinstance(error, (*lie.stops, *self._weathers_stops())) for error in errors):
            yield f"{type(lie).__name__} ends in {outcome.end}: {outcome.sentence}"
        elif self.site and self.site.names and self.liar_name not in outcome.sentence:
            yield f"{type(lie).__name__} by {self.liar_name} is not named: {outcome.sentence}"

    def _errors(self) -> list[FedglmmError]:
        """What everybody says stopped it, the coordinator first."""
        ends = [self.conductor.end, *(site.end for site in self.network.sites.values())]
        return [end.error for end in ends if isinstance(end, Stopped)]

    def _weathers_stops(self) -> tuple[type[FedglmmError], ...]:
        happened = self.network.dice.happened
        lost = (LinkError,) if happened["gone"] else ()
        return (*lost, PeerError, RefusalError, LinkError) if happened["stale"] or self._has_flotsam() else lost

    def _has_flotsam(self) -> bool:
        return bool(self.schedule.weather.stale and self.network.dice.happened["replayed"])

    def _fit(self) -> Fit:
        """The estimator, with every sum that it is told noted."""
        sums: list[bytes] = []
        self.fits.append((self.conductor.cohort if self.fits else self.ground.terms.names, sums))
        return noted(self.ground.study, lambda total: sums.append(total.tobytes()))

    def _site(self, name: str, draw: Randomness) -> SiteAtHand:
        on, lying = self.ground, self.site if name == self.liar_name else None

        def machine(seed: Seed) -> Site:
            policy = Policy(allow_plain=True)
            return Site(on.terms, on.signing[name], policy, seed, randomness=draw, share=on.shares.get(name))

        def party(site: Site, keep: Keep) -> Party:
            rows = SiteRows(on.study, on.designs[name], name)
            return Party(on.study, lying.rows(rows) if lying else rows, site, keep)

        return SiteAtHand(name, Seed(draw(SEED_BYTES)), machine, party)


def second_answers(sent: list[tuple[str, bytes]], *, except_for: str | None) -> Iterator[str]:
    """A site that sent two different messages in one phase of a sum, of all bytes that left it, restarts included."""
    first: dict[tuple[object, ...], bytes] = {}
    for site, data in sent:
        if site == except_for:
            continue
        message = codec.decode_site(data)
        if isinstance(message, Ready | Refusal):
            continue
        place = (site,) if isinstance(message, Hello) else (site, message.session_id, message.number, message.phase)
        if first.setdefault(place, data) != data:
            yield f"{site} gave a second, different answer: {place[2:]}"


def noted(study: Study, note: Callable[[Vector], None]) -> Fit:
    """The study's estimator, which passes on every sum that it is told."""
    questions = estimator(study, lambda _: None)
    question = next(questions)
    while True:
        total = yield question
        note(total)
        try:
            question = questions.send(total)
        except StopIteration as end:
            result: FitResult = end.value
            return result


@cache
def exact_sums(protocol: str, sites: int, is_long: bool, cohort: tuple[str, ...]) -> tuple[bytes, ...]:
    """The sums over a cohort with no protocol at all: the sites' fixed-point numbers, added."""
    on, sums = ground(protocol, sites, is_long=is_long), list[bytes]()
    rows = {name: SiteRows(on.study, on.designs[name], name) for name in cohort}
    fit = noted(on.study, lambda total: sums.append(total.tobytes()))
    question = next(fit)
    while True:
        names = question.slots(on.study.layout)
        total = ring.zeros(len(names))
        for site in rows.values():
            total = ring.add(total, ring.encode(site.answer(question), names))
        try:
            question = fit.send(ring.decode_sum(total, len(cohort)))
        except StopIteration:
            return tuple(sums)


@cache
def earlier_session(protocol: str, sites: int, is_long: bool) -> tuple[tuple[str, bytes], ...]:
    """All that the sites sent in an undisturbed session of the same study, before."""
    before = _Run(Schedule(-1, protocol, sites, is_long, weather=CALM))
    before.network.run()
    return tuple(before.network.sent)


def _old_hellos(protocol: str, sites: int, is_long: bool) -> tuple[Hello, ...]:
    """How the sites greeted in that session."""
    greetings = (codec.decode_site(data) for _, data in earlier_session(protocol, sites, is_long))
    return tuple(message for message in greetings if isinstance(message, Hello))


@cache
def ground(protocol: str, sites: int, *, is_long: bool) -> Ground:
    """A logistic regression over small hospitals, the same for the same arguments."""
    names = tuple(f"hospital_{letter}" for letter in "abcdefg"[:sites])
    signing = {name: SigningIdentity.from_private_bytes(hashlib.sha256(name.encode()).digest()) for name in names}
    security = {"minimum_sites": 3, **PROTOCOLS[protocol], "dropouts": DROPOUTS[sites] if PROTOCOLS[protocol] else 0}
    study = Study.parse(
        _STUDY.format(penalty="[1, 0.6, 0.3, 0.2, 0.1, 0.06, 0.03, 0.01]" if is_long else "0.0"), "a small study"
    )
    study = study.model_copy(update={"security": security})
    study = study.replaced(identities={name: (encode_public_key(signing[name].public_bytes), None) for name in names})
    terms, shares = terms_of(study), dict[str, object]()
    kind = protocol.partition(",")[0]
    if kind == "paillier":
        key, dealt = _paillier_key(sites)
        terms, shares = replace(terms, paillier=key, protocol=kind), dict(zip(names, dealt, strict=True))
    elif kind == "plain":
        terms = replace(terms, protocol=kind)
    designs = {name: study.design(_table(name), name, name) for name in names}
    return Ground(study, terms, designs, signing, shares)


_STUDY = """
[study]
id = "hostile"
title = "A study for hostile schedules"
[model]
formula = "recovered ~ dose"
family = "binomial"
method = "glm"
penalty = {penalty}
[variables.recovered]
type = "binary"
levels = ["no", "yes"]
[variables.dose]
type = "numeric"
range = [0, 10]
"""


def _table(name: str) -> pd.DataFrame:
    """Thirty rows of one hospital."""
    dice = random.Random(name)  # noqa: S311  no secret: it must repeat
    doses = [round(dice.uniform(0.0, 10.0), 1) for _ in range(30)]
    return pd.DataFrame(
        {"recovered": ["yes" if dice.random() < 0.2 + 0.06 * dose else "no" for dose in doses], "dose": doses}
    )


@cache
def _paillier_key(sites: int) -> tuple[PaillierTerms, tuple[object, ...]]:
    """A key too small for any study, the same for the same roster."""
    draw = drawer(f"paillier for {sites}")
    top = 3 << (PAILLIER_PRIME_BITS - 2)  # so that the product has all its bits
    p, q = (int(gmpy2.next_prime(top | int.from_bytes(draw(PAILLIER_PRIME_BITS // 8), "big") >> 2)) for _ in range(2))
    threshold = smallest_threshold(sites)
    return PaillierTerms(p * q, threshold), share(p, q, sites, threshold, draw)


def drawer(label: str) -> Randomness:
    """Bytes that nobody could predict who does not know ``label``, never the same twice; for rehearsals alone."""
    drawn = 0

    def draw(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return hashlib.shake_256(f"{label}/{drawn}".encode()).digest(size)

    return draw
