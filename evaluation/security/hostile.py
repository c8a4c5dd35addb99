"""Do secure sums hold under the worst network, and among parties that lie? Runs seeded hostile schedules.

    python evaluation/security/hostile.py [--schedules 1000] [--from 0] [--only SEED]

Each schedule is a whole fit of a small study: protocol, three to seven sites, a weather (messages lost, late, doubled,
damaged, replayed; sites killed and started again, away, or gone), and in half of them a coordinator or a site that
lies. Each run must end in the exact answer, to the bit, or in a named stop of the right kind: never in a wrong sum, a
hang, an exception outside the error tree, or a second, different answer of a site. Exit code 1 when one does not; the
same seed always makes the same run (--only).
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import Counter

from fedglmm_secure.rehearsal.liars import Lie
from fedglmm_secure.rehearsal.lying_coordinators import LYING_COORDINATORS
from fedglmm_secure.rehearsal.lying_sites import LYING_SITES
from fedglmm_secure.rehearsal.schedules import PROTOCOLS, Outcome, Schedule, run

ENDS = ("exact", "LinkError", "PeerError", "RefusalError", "FitError", "other")


def main() -> int:
    """Run the schedules and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schedules", type=int, default=1000, metavar="N", help="how many (1000)")
    parser.add_argument("--from", type=int, default=0, dest="first", metavar="SEED", help="the first seed (0)")
    parser.add_argument("--only", type=int, metavar="SEED", help="one schedule, told in full")
    options = parser.parse_args()
    if options.only is not None:
        outcome = run(Schedule.of(options.only))
        print(f"{outcome.schedule}\n{outcome.end}: {outcome.sentence}\n{outcome.steps} steps: {outcome.weather}")
        print("\n".join(f"VIOLATION: {violation}" for violation in outcome.violations))
        return 1 if outcome.violations else 0
    outcomes, broken = [], 0
    for seed in range(options.first, options.first + options.schedules):
        try:
            outcomes.append(run(Schedule.of(seed)))
        except Exception:
            broken += 1
            print(f"VIOLATION: {Schedule.of(seed)}: an exception outside the error tree\n{traceback.format_exc()}")
            continue
        for violation in outcomes[-1].violations:
            print(f"VIOLATION: {outcomes[-1].schedule}: {violation}")
    broken += sum(bool(outcome.violations) for outcome in outcomes)
    print(table(outcomes))
    print(lies(outcomes))
    print(f"\n{options.schedules} schedules, {broken} with a violation")
    return 1 if broken else 0


def table(outcomes: list[Outcome]) -> str:
    """Protocol by how the runs ended; the longest run of each, in steps and messages."""
    head = f"{'protocol':<36}" + "".join(f"{end:>14}" for end in ENDS) + f"{'most steps':>12}{'messages':>10}"
    lines = [head, "-" * len(head)]
    for protocol in PROTOCOLS:
        own = [outcome for outcome in outcomes if outcome.schedule.protocol == protocol]
        ends = Counter(outcome.end if outcome.end in ENDS else "other" for outcome in own)
        # a QuantityError is a FitError, an OwnRowsError a RefusalError: across the wire they are just that
        lines.append(
            f"{protocol:<36}"
            + "".join(f"{ends[end]:>14}" for end in ENDS)
            + f"{max((outcome.steps for outcome in own), default=0):>12}"
            + f"{max((outcome.messages for outcome in own), default=0):>10}"
        )
    return "\n".join(lines)


def lies(outcomes: list[Outcome]) -> str:
    """How often which lie reached somebody, and how many of those were found out."""
    told: Counter[type[Lie]] = Counter()
    stopped: Counter[type[Lie]] = Counter()
    for outcome in outcomes:
        lie = outcome.schedule.coordinator or outcome.schedule.site
        if lie is not None and outcome.was_lied_to:
            told[lie] += 1
            stopped[lie] += outcome.end != "exact"
    lines = ["", f"{'a lie of the coordinator':<28}{'told':>6}{'stopped':>9}   a lie of a site"]
    for row in range(max(len(LYING_COORDINATORS), len(LYING_SITES))):
        cells = [
            f"{kinds[row].__name__:<28}{told[kinds[row]]:>6}{stopped[kinds[row]]:>9}" if row < len(kinds) else " " * 43
            for kinds in (LYING_COORDINATORS, LYING_SITES)
        ]
        lines.append("   ".join(cells).rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
