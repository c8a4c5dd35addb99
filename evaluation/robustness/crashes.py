"""Programs killed at random: every fit must end as if nothing had happened.

    python evaluation/robustness/crashes.py [--schedules 100] [--first 0] [--keep DIR]

Each schedule is a fit of the four-hospital trial by real processes over gRPC and TLS, in which kill -9 hits the
coordinator and sites at moments drawn from the schedule's number. Whoever was killed is started again with the same
command. Checked for each (``verdict``): every program ends with 0, the sums and the answer are those of an undisturbed
fit to the last bit, no site ever made or sent two messages in one place, audit logs are whole and complete, and nobody
failed. Exit code 1 when anything is otherwise.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # before NumPy is loaded, here and in the programs

from evaluation.robustness.hospitals import PROTOCOLS, Hospitals
from evaluation.robustness.schedule import Course, Schedule, play
from evaluation.robustness.verdict import Answer, violations

ROW = "{:>8}  {:<12}  {:>5}  {:>6}  {:>7}  {:<34}  {}"


def main() -> int:
    """Run the schedules, print a row for each; 1 when one of them ended otherwise than it must."""
    parser = argparse.ArgumentParser(description="Kill programs of a fit at random.")
    parser.add_argument("--schedules", type=int, default=100, help="how many [default: 100]")
    parser.add_argument("--first", type=int, default=0, help="number of the first [default: 0]")
    parser.add_argument("--keep", type=Path, help="folder for what the parties of failed schedules left")
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.schedules)
    with TemporaryDirectory(prefix="fedglmm-") as place:
        return run([Schedule.of(number) for number in numbers], Path(place), options.keep)


def run(schedules: list[Schedule], place: Path, keep: Path | None) -> int:
    """The exit code."""
    began, failed, kills = time.monotonic(), 0, Counter[str]()
    protocols = [protocol for protocol in PROTOCOLS if protocol in {schedule.protocol for schedule in schedules}]
    founded = {protocol: Hospitals.found(place / f"protocol {i}", protocol) for i, protocol in enumerate(protocols)}
    answers = {protocol: _undisturbed(founded[protocol], place / f"undisturbed {protocol}") for protocol in protocols}
    print(ROW.format("schedule", "protocol", "kills", "starts", "seconds", "killed", "found"), flush=True)
    for schedule in schedules:
        hospitals = founded[schedule.protocol].copy(place / f"schedule {schedule.seed}")
        course = play(schedule, hospitals)
        found = list(violations(hospitals, course, answers[schedule.protocol]))
        kills.update(course.kills)
        print(_row(schedule, course, found), flush=True)
        if found:
            failed += 1
            for strike in schedule.strikes:
                print(f"          {', '.join(strike.victims)}: {strike.moment}, back after {strike.pauses}")
            if keep is not None:
                shutil.copytree(hospitals.folder, keep / f"schedule {schedule.seed}", dirs_exist_ok=True)
        shutil.rmtree(hospitals.folder)
    print(
        f"{len(schedules)} schedules, {kills.total()} kills ({', '.join(f'{n} {name}' for name, n in kills.items())}) "
        f"in {time.monotonic() - began:.0f} s: {failed} ended otherwise than an undisturbed fit"
    )
    return 1 if failed else 0


def _undisturbed(founded: Hospitals, place: Path) -> Answer:
    """What a fit finds to which nothing happens."""
    hospitals = founded.copy(place)
    course = play(Schedule.undisturbed(""), hospitals)
    if set(course.codes.values()) != {0}:
        raise SystemExit(f"the undisturbed fit did not end well: {course.codes}; see {place}")
    return Answer.of(hospitals)


def _row(schedule: Schedule, course: Course, found: list[str]) -> str:
    counts = Counter(course.kills)
    killed = ", ".join(f"{name} x{count}" if count > 1 else name for name, count in counts.items())
    again = f" (coordinator called back {course.called_back}x)" if course.called_back else ""
    return ROW.format(
        schedule.seed, schedule.protocol, len(course.kills), sum(course.starts.values()), f"{course.seconds:.1f}",
        killed or "nobody", ("; ".join(found) or "the same answer") + again,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
