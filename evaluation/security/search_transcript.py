"""What does a curious coordinator find in what it received? Searches a rehearsal's transcript for the sites' numbers.

    python evaluation/security/search_transcript.py DIR --site NAME=TABLE [--site NAME=TABLE ...]

DIR is the folder of a rehearsal, the tables are those it was run with. The attacker here knows more than any real one:
it computes every site's true answer to every question, in fixed point, and looks for

(1) each of these numbers, byte for byte, at any position of anything that the coordinator received;
(2) each difference of a site's numbers between two sums, among the differences of what that site sent;
(3) any preference among the bytes of the vectors (chi-square over the 256 byte values).

Without DIR, it rehearses the example study twice, masked and plain, and prints both: the search must find nothing in
the first and everything in the second. Exit code 1 when it is otherwise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import chi2

from fedglmm_secure import Study, ring
from fedglmm_secure.estimate.estimator import estimator
from fedglmm_secure.rehearsal import rehearse_in_memory
from fedglmm_secure.securesum.messages import Contribution
from fedglmm_secure.study import parse_table
from fedglmm_secure.study.site_rows import SiteRows
from fedglmm_secure.wire import codec
from fedglmm_secure.wire.records import read_transcript

EXAMPLE = Path(__file__).parents[2] / "examples" / "indomethacin"
Vectors = dict[str, list[ring.Ring]]
"""For each site one vector a sum, without the count slot."""


@dataclass(frozen=True)
class Findings:
    """How many numbers were looked for, how many found, and how even the bytes are."""

    numbers: int
    numbers_found: int
    differences: int
    differences_found: int
    chi_square: float
    p_value: float

    def __str__(self) -> str:
        return (
            f"  (1) numbers found      {self.numbers_found:>6} of {self.numbers}\n"
            f"  (2) differences found  {self.differences_found:>6} of {self.differences}\n"
            f"  (3) bytes              chi-square {self.chi_square:.1f} on 255 degrees of freedom, "
            f"p = {self.p_value:.3g}"
        )


def search(study: Study, tables: Mapping[str, pd.DataFrame], transcript: list[tuple[str, bytes]]) -> Findings:
    """Look for the sites' true fixed-point numbers in all that the coordinator received."""
    sent, true = sent_vectors(transcript), true_vectors(study, tables)
    received = b"\0".join(message for _, message in transcript)
    numbers = {element for vectors in true.values() for vector in vectors for element in elements(vector)}
    differences = found = 0
    for name, vectors in true.items():
        hidden = set(differences_of(vectors))
        differences += len(hidden)
        found += len(hidden & set(differences_of(sent[name])))
    counts = np.zeros(256)
    for vectors in sent.values():
        for vector in vectors:
            counts += np.bincount(np.frombuffer(ring.to_bytes(vector), dtype=np.uint8), minlength=256)
    expected = counts.sum() / 256
    statistic = float(np.sum((counts - expected) ** 2 / expected))
    return Findings(
        len(numbers), sum(number in received for number in numbers), differences, found, statistic,
        float(chi2.sf(statistic, 255)),
    )  # fmt: skip


def sent_vectors(transcript: list[tuple[str, bytes]]) -> Vectors:
    """What each site sent, by sum."""
    vectors: dict[str, dict[int, ring.Ring]] = {}
    for _, message in transcript:
        match codec.decode_site(message):
            case Contribution() as sent:
                length = len(sent.vector) // ring.ELEMENT_BYTES
                vectors.setdefault(sent.site, {})[sent.number] = ring.from_bytes(sent.vector, length)[1:]
    return {name: [by_sum[number] for number in sorted(by_sum)] for name, by_sum in vectors.items()}


def true_vectors(study: Study, tables: Mapping[str, pd.DataFrame]) -> Vectors:
    """What each site had to hide: the same fit, run on the answers in the clear."""
    sites = {name: SiteRows(study, study.design(table, name, name), name) for name, table in tables.items()}
    vectors: Vectors = {name: [] for name in sites}
    generator = estimator(study, lambda _: None)
    question = next(generator)
    while True:
        names = question.slots(study.layout)
        total = ring.encode(np.zeros(len(names)), names)
        for site, rows in sites.items():
            vectors[site].append(ring.encode(rows.answer(question), names))
            total = ring.add(total, vectors[site][-1])
        try:
            question = generator.send(ring.decode_sum(total, len(sites)))
        except StopIteration:
            return vectors


def elements(vector: ring.Ring) -> Iterator[bytes]:
    """The 16 bytes of each element that holds anything: zeros, ones and small counts occur by themselves."""
    for low, high in vector.tolist():
        # at least five bytes that are neither 0 nor 255, so that no run of padding is taken for a finding
        content = low.to_bytes(8, "little") + high.to_bytes(8, "little")
        if sum(byte not in (0, 255) for byte in content) >= 5:
            yield content


def differences_of(vectors: list[ring.Ring]) -> Iterator[bytes]:
    """Differences modulo 2^128 between the vectors of any two sums of the same length."""
    for earlier, later in combinations(vectors, 2):
        if len(earlier) == len(later):
            yield from elements(ring.subtract(later, earlier))


def main() -> int:
    """Search one rehearsal, or the example's two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="a rehearsal's folder")
    parser.add_argument("--site", action="append", default=[], metavar="NAME=TABLE")
    options = parser.parse_args()
    if options.folder:
        study = Study.parse((options.folder / "study.toml").read_text(), "study.toml")
        transcript = list(read_transcript((options.folder / "coordinator" / "transcript.jsonl").read_text()))
        print(search(study, read_tables(site.partition("=")[::2] for site in options.site), transcript))
        return 0
    tables = read_tables((path.stem, path) for path in sorted((EXAMPLE / "sites").glob("*.csv")))
    good = True
    for protocol in ("masking", "plain"):
        rehearsal = rehearse_in_memory(EXAMPLE / "study.toml", tables, protocol=protocol)
        findings = search(rehearsal.study, tables, list(rehearsal.transcript))
        print(f"{protocol}\n{findings}")
        hidden = findings.numbers_found == findings.differences_found == 0 and findings.p_value > 1e-6
        everything = (findings.numbers_found, findings.differences_found) == (
            findings.numbers,
            findings.differences,
        )
        good = good and (hidden if protocol == "masking" else everything)
    return 0 if good else 1


def read_tables(paths: Iterator[tuple[str, str | Path]]) -> dict[str, pd.DataFrame]:
    """Site tables by name."""
    return {name: parse_table(str(path), Path(path).read_bytes()) for name, path in paths}


if __name__ == "__main__":
    sys.exit(main())
