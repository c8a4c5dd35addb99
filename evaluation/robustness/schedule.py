"""Who is killed when, drawn from a seed, and a fit that it happens to."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from evaluation.robustness.hospitals import COORDINATOR, DROPOUTS, MASKING, PAILLIER, PARTIES, SITES, Hospitals
from evaluation.robustness.programs import COORDINATOR_PROGRAM, SITE_PROGRAM, Program
from tests.programs.lines import Line

LONGEST_SECONDS = 240.0
"""A fit that has not ended by then never will: a lost line is noticed within a minute."""
LOOK_SECONDS = 0.002
KILLED = -9
PROTOCOL_OF_TEN = (*[MASKING] * 3, DROPOUTS, *[MASKING] * 3, DROPOUTS, MASKING, PAILLIER)
"""By the last digit of the seed."""
SITE_FILES = ("journal.jsonl", "audit.log", "audit.head")
COORDINATOR_FILES = ("transcript.jsonl", "log.jsonl", "fit.sqlite-wal")


@dataclass(frozen=True)
class Moment:
    """``changes`` changes of a party's file after the last strike and then ``seconds``; without a file, only those."""

    party: str
    file: str
    changes: int
    seconds: float

    def __str__(self) -> str:
        """In short words."""
        wait = f"{1e3 * self.seconds:.0f} ms"
        return f"{wait} after {self.party}/{self.file} x{self.changes}" if self.file else f"after {wait}"


@dataclass(frozen=True)
class Strike:
    """kill -9 of the victims at a moment; each is started again after its pause."""

    moment: Moment
    victims: tuple[str, ...]
    pauses: tuple[float, ...]


@dataclass(frozen=True)
class Schedule:
    """What happens to one fit. ``delays``: seconds that each site's line holds every piece of data back."""

    seed: int
    protocol: str
    delays: dict[str, float]
    strikes: tuple[Strike, ...]

    @classmethod
    def of(cls, seed: int) -> Schedule:
        """The schedule of a seed: one to four strikes, at one party or several, at times at the same one again."""
        random = Random(seed)
        delays = {name: random.choice((0.0, 0.0, 0.02)) for name in SITES} | {random.choice(SITES): 0.1}
        strikes: list[Strike] = []
        for _ in range(random.randint(1, 5)):
            victims = _victims(random)
            if strikes and random.random() < 0.3:
                victims = strikes[-1].victims
            pauses = tuple(random.choice((0.0, random.uniform(0.0, 2.0))) for _ in victims)
            strikes.append(Strike(_moment(random), victims, pauses))
        return cls(seed, PROTOCOL_OF_TEN[seed % 10], delays, tuple(strikes))

    @classmethod
    def undisturbed(cls, protocol: str) -> Schedule:
        """Nothing happens."""
        return cls(-1, protocol, dict.fromkeys(SITES, 0.0), ())


def _victims(random: Random) -> tuple[str, ...]:
    kind = random.random()
    if kind < 0.35:
        return (COORDINATOR,)
    return (random.choice(SITES),) if kind < 0.75 else tuple(random.sample(PARTIES, random.randint(2, len(PARTIES))))


def _moment(random: Random) -> Moment:
    jitter = random.choice((0.0, random.uniform(0.0, 0.02), random.uniform(0.0, 0.3)))
    if random.random() < 0.25:
        return Moment("", "", 0, random.uniform(0.0, 3.0))
    party = random.choice(PARTIES)
    file = random.choice(COORDINATOR_FILES if party == COORDINATOR else SITE_FILES)
    return Moment(party, file, random.randint(1, 12), jitter)


@dataclass(frozen=True)
class Course:
    """How a fit went."""

    codes: dict[str, int | None]
    starts: dict[str, int]
    kills: tuple[str, ...]
    """Who was killed, in order."""
    called_back: int
    """How often a coordinator that had ended was started again, for a site that had not got the result before it was
    killed."""
    seconds: float


def play(schedule: Schedule, hospitals: Hospitals) -> Course:
    """Run the fit of ``hospitals`` with everything that the schedule has for it."""
    with ExitStack() as stack:
        address = f"127.0.0.1:{_free_port()}"
        programs = {COORDINATOR: Program(COORDINATOR_PROGRAM, hospitals.serve(address), hospitals.home(COORDINATOR))}
        for name, delay in schedule.delays.items():
            line = stack.enter_context(Line(address, delay=delay))
            programs[name] = Program(SITE_PROGRAM, hospitals.join(name, line.address), hospitals.home(name))
        for program in programs.values():
            stack.callback(program.kill)
        return _Play(schedule, programs, hospitals).run()


class _Play:
    def __init__(self, schedule: Schedule, programs: dict[str, Program], hospitals: Hospitals) -> None:
        self._strikes, self._programs, self._hospitals = list(schedule.strikes), programs, hospitals
        self._begun = time.monotonic()
        self._due = dict.fromkeys(programs, self._begun)
        self._kills: list[str] = []
        self._called_back = 0
        self._fires = self._arm()

    def run(self) -> Course:
        """Start, kill and start again until everybody has ended."""
        while not self._is_over() and time.monotonic() < self._begun + LONGEST_SECONDS:
            self._start_who_is_due()
            if self._strikes and self._fires():
                self._strike(self._strikes.pop(0))
                self._fires = self._arm()
            self._call_back()
            time.sleep(LOOK_SECONDS)
        codes = {name: program.code for name, program in self._programs.items()}
        starts = {name: program.starts for name, program in self._programs.items()}
        return Course(codes, starts, tuple(self._kills), self._called_back, time.monotonic() - self._begun)

    def _is_over(self) -> bool:
        """Everybody ended by themselves, or somebody with an error."""
        codes = [program.code for program in self._programs.values()]
        return all(code == 0 for code in codes) or any(code not in (0, None, KILLED) for code in codes)

    def _start_who_is_due(self) -> None:
        for name in [name for name, due in self._due.items() if due <= time.monotonic()]:
            del self._due[name]
            self._programs[name].start()

    def _strike(self, strike: Strike) -> None:
        now = time.monotonic()
        for name, pause in zip(strike.victims, strike.pauses, strict=True):
            if self._programs[name].kill():
                self._kills.append(name)
                self._due[name] = now + pause

    def _call_back(self) -> None:
        """The coordinator has ended, and a site that was killed waits for it: its operator starts it once more."""
        if self._programs[COORDINATOR].code == 0 and any(self._programs[name].code != 0 for name in SITES):
            self._called_back += 1
            self._programs[COORDINATOR].start()

    def _arm(self) -> Callable[[], bool]:
        """Whether the moment of the next strike has come."""
        if not self._strikes:
            return lambda: False
        moment = self._strikes[0].moment
        path = self._hospitals.home(moment.party) / moment.file if moment.file else None
        return _Watch(path, moment.changes, moment.seconds).has_come


class _Watch:
    """Waits for changes of a file's size or time, and then some more."""

    def __init__(self, path: Path | None, changes: int, seconds: float) -> None:
        self._path, self._left, self._seconds = path, changes, seconds
        self._seen = self._look()
        self._since = time.monotonic()

    def has_come(self) -> bool:
        if self._left > 0 and (seen := self._look()) != self._seen:
            self._seen, self._left, self._since = seen, self._left - 1, time.monotonic()
        return self._left <= 0 and time.monotonic() >= self._since + self._seconds

    def _look(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat() if self._path else None
        except FileNotFoundError:
            return None
        return (found.st_size, found.st_mtime_ns) if found else None


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
