"""What each protocol makes a site and the coordinator compute and send, without a network: side by side in one table.

    python evaluation/performance/protocols.py

Whole sums through the real machines of both parties. A site's time is the median over all sites and sums, as sites work
at the same time; journal and transport are not in it (``bench.network`` has both). What a party can do before a sum is
asked for is shown apart: with dropouts the keys of a batch of 16 sums, under Paillier the r^N of the next sum.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from statistics import median
from typing import TypeVar

import numpy as np
import phe
from flwr_secagg import SecAggCost, secagg_costs
from rich.console import Console
from rich.table import Table

from fedglmm_secure.ring import Vector
from fedglmm_secure.securesum import Policy, SigningIdentity, Site, Terms, open_session, paillier, sum_once
from fedglmm_secure.securesum.messages import BATCH, DIGEST_BYTES, KEY_BYTES, Relay, SumRequest
from fedglmm_secure.securesum.session import PaillierTerms
from fedglmm_secure.securesum.site import Step
from fedglmm_secure.securesum.states import KEY_PHASES
from fedglmm_secure.wire.codec import encode_site

LENGTHS = (254, 11_628)
"""Numbers of a sum, the count among them: a gradient and Hessian of 21 parameters, and of 151."""

SITES = (3, 10, 50)
SUMS = 8
"""Sums timed in a session; one more before them makes the keys and is not counted."""

SAMPLE = 4
"""Numbers that phe encrypts one by one; its time is scaled from them."""


SINGLE = "phe, one a ciphertext"
"""One number a ciphertext, opened by the sites as in ours: what the last ratios are of."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Cost:
    """What a sum costs: milliseconds and bytes of a site, milliseconds of the coordinator; of a site ahead of it."""

    site_ms: float
    coordinator_ms: float
    sent: float
    ahead_ms: float = 0.0
    ahead_sent: float = 0.0


@dataclass
class Spent:
    """Seconds and bytes so far."""

    seconds: float = 0.0
    sent: int = 0


class TimedSite:
    """A site as ``sum_once`` uses it, with what it spends in a sum and ahead of one."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.now, self.ahead = Spent(), Spent()

    @property
    def last(self) -> tuple[int, object]:
        return self._site.last

    def receive(self, message: SumRequest | Relay) -> Step | None:
        began = time.perf_counter()
        step = self._site.receive(message)
        return self._count(step, time.perf_counter() - began)

    def answer(self, values: Vector, names: list[str]) -> Step | None:
        began = time.perf_counter()
        self._site.work_ahead()
        ready = time.perf_counter()
        self.ahead.seconds += ready - began
        step = self._site.answer(values, names)
        return self._count(step, time.perf_counter() - ready)

    def _count(self, step: Step | None, seconds: float) -> Step | None:
        is_ahead = step is not None and step.message.phase in KEY_PHASES
        spent = self.ahead if is_ahead else self.now
        spent.seconds += seconds
        spent.sent += len(encode_site(step.message)) if step else 0
        return step

    def take(self) -> tuple[Spent, Spent]:
        """What was spent since it was last taken."""
        taken = self.now, self.ahead
        self.now, self.ahead = Spent(), Spent()
        return taken


class TimedCoordinator:
    """A coordinator as ``sum_once`` uses it, with the seconds that its methods take."""

    def __init__(self, coordinator: object) -> None:
        self._coordinator = coordinator
        self.seconds = 0.0

    def __getattr__(self, name: str) -> object:
        attribute = getattr(self._coordinator, name)
        if not callable(attribute):
            return attribute

        def timed(*arguments: object) -> object:
            began = time.perf_counter()
            result = attribute(*arguments)
            self.seconds += time.perf_counter() - began
            return result

        return timed


class Keys:
    """One Paillier key for all measurements, shared anew among each number of sites."""

    def __init__(self, bits: int = paillier.BITS) -> None:
        self.public, self.private = phe.generate_paillier_keypair(n_length=bits)

    def dealt(self, names: tuple[str, ...]) -> tuple[PaillierTerms, dict[str, object]]:
        """What the study says of the key, and each site's share."""
        threshold = paillier.smallest_threshold(len(names))
        shares = paillier.share(self.private.p, self.private.q, len(names), threshold, secrets.token_bytes)
        return PaillierTerms(self.public.n, threshold), dict(zip(names, shares, strict=True))


def protocols(lengths: tuple[int, ...] = LENGTHS, cohorts: tuple[int, ...] = SITES) -> Table:
    """A row for each length, number of sites and protocol; ratios to the plain sum and of phe to it."""
    table = Table(
        title="One sum without a network: the work of one site and of the coordinator",
        title_justify="left",
        caption=f"Paillier uses {os.cpu_count()} cores, phe's encryption one; phe is scaled from {SAMPLE} numbers. "
        f"'phe to it': one number a ciphertext beside this row. Ahead: keys of {BATCH} sums, or r^N of one. flwr makes "
        "its keys in every sum, rounds each number to 22 bits, masks modulo 2^32 and sends 64 bits a number.",
        caption_justify="left",
    )
    for column in (
        "numbers", "sites", "protocol", "site, ms", "to plain", "phe to it", "coordinator, ms", "to plain",
        "bytes a site", "phe to it", "ahead, ms", "ahead, bytes",
    ):  # fmt: skip
        table.add_column(column, justify="left" if column == "protocol" else "right")
    keys = Keys()
    foreign = secagg_costs([(numbers, sites) for numbers in lengths for sites in cohorts])
    for numbers in lengths:
        for sites in cohorts:
            costs = dict(measured(numbers, sites, keys, foreign))
            plain, single = costs["plain"], costs[SINGLE]
            for name, cost in costs.items():
                table.add_row(
                    f"{numbers:,}", f"{sites}", name,
                    f"{cost.site_ms:,.2f}", _ratio(cost.site_ms, plain.site_ms), _ratio(single.site_ms, cost.site_ms),
                    f"{cost.coordinator_ms:,.2f}", _ratio(cost.coordinator_ms, plain.coordinator_ms),
                    f"{cost.sent:,.0f}", _ratio(single.sent, cost.sent),
                    f"{cost.ahead_ms:,.1f}" if cost.ahead_ms else "",
                    f"{cost.ahead_sent:,.0f}" if cost.ahead_sent else "",
                )  # fmt: skip
            table.add_section()
    return table


def measured(
    numbers: int, sites: int, keys: Keys, foreign: dict[tuple[int, int], SecAggCost]
) -> Iterator[tuple[str, Cost]]:
    """Each protocol that such a sum can take, and its cost; Paillier is left out where it takes many minutes."""
    yield "plain", sums_of("plain", numbers, sites)
    yield "masking", sums_of("masking", numbers, sites)
    if sites > 3:  # three sites are the threshold of three
        yield "masking, dropouts = 1", sums_of("masking", numbers, sites, dropouts=1)
    if (numbers, sites) in foreign:
        found = foreign[numbers, sites]
        yield "flwr SecAgg+", Cost(found.client_ms, found.server_ms, found.sent)
    if numbers <= LENGTHS[0] or sites <= SITES[0]:
        yield "Paillier, r^N ready", sums_of("paillier", numbers, sites, keys=keys)
    yield from one_number_a_ciphertext(numbers, sites, keys)


def sums_of(protocol: str, numbers: int, sites: int, *, dropouts: int = 0, keys: Keys | None = None) -> Cost:
    """Medians over the sums of one session, each of which is checked; one sum under Paillier, over its sites."""
    names = tuple(f"site-{i:02}" for i in range(1, sites + 1))
    signing = [SigningIdentity.from_private_bytes(secrets.token_bytes(KEY_BYTES)) for _ in names]
    roster = tuple((name, key.public_bytes) for name, key in zip(names, signing, strict=True))
    agreed, shares = keys.dealt(names) if keys else (None, None)
    terms = Terms(protocol, bytes(DIGEST_BYTES), roster, 2, SUMS + 1, dropouts, paillier=agreed)
    coordinator, opened = open_session(terms, signing, secrets.token_bytes, Policy(allow_plain=True), shares)
    answers = dict(zip(names, np.random.default_rng(0).normal(size=(sites, numbers - 1)), strict=True))
    slots = [str(i) for i in range(1, numbers)]
    timed = {name: TimedSite(site) for name, site in opened.items()}
    course = []
    for _ in range(1 if keys else SUMS + 1):
        asked = TimedCoordinator(coordinator)
        total = sum_once(asked, timed, b"question", answers, slots)  # type: ignore[arg-type]
        assert np.allclose(total, sum(answers.values()), rtol=0.0, atol=sites * 2.0**-44)
        course.append((asked.seconds, [site.take() for site in timed.values()]))
    counted = course if keys else course[1:]
    now = [spent for _, each in counted for spent, _ in each]
    first = [ahead for _, ahead in course[0][1]]
    return Cost(
        1e3 * median(spent.seconds for spent in now), 1e3 * median(seconds for seconds, _ in counted),
        median(spent.sent for spent in now),
        1e3 * median(spent.seconds for spent in first) if keys or dropouts else 0.0, median(s.sent for s in first),
    )  # fmt: skip


def one_number_a_ciphertext(numbers: int, sites: int, keys: Keys) -> Iterator[tuple[str, Cost]]:
    """phe without packing: opened by a majority of the sites, as ours is, and with the whole key."""
    names = tuple(map(str, range(sites)))
    agreed, shares = keys.dealt(names)
    public = paillier.PublicKey(agreed.modulus)
    values = np.random.default_rng(0).normal(size=SAMPLE).tolist()
    encrypted, encryption = _timed(lambda: [keys.public.encrypt(value) for value in values])
    totals, addition = _timed(lambda: [reduce(add, [number] * sites) for number in encrypted])
    ciphertexts = [total.ciphertext(be_secure=False) for total in totals]
    opening = [shares[name] for name in names[: agreed.threshold]]
    released = {key.index: _timed(paillier.partial_decrypt, public, key, ciphertexts) for key in opening}
    partials = {index: partial for index, (partial, _) in released.items()}
    together, combination = _timed(paillier.combine, public, agreed.threshold, sites, partials)
    alone, decryption = _timed(lambda: [keys.private.decrypt(total) for total in totals])
    assert together == [keys.private.raw_decrypt(ciphertext) for ciphertext in ciphertexts]
    assert np.allclose(alone, np.multiply(values, sites))
    scale, sent = 1e3 * numbers / SAMPLE, numbers * public.ciphertext_bytes
    # Each site multiplies the ciphertexts itself before it helps to open the product.
    by_site = encryption + addition + median(seconds for _, seconds in released.values())
    yield SINGLE, Cost(scale * by_site, scale * combination, 2 * sent)
    yield f"{SINGLE}, whole key", Cost(scale * encryption, scale * (addition + decryption), sent)


def _timed(work: Callable[..., Result], *arguments: object) -> tuple[Result, float]:
    began = time.perf_counter()
    result = work(*arguments)
    return result, time.perf_counter() - began


def _ratio(cost: float, base: float) -> str:
    ratio = cost / base
    return f"{ratio:,.2f}" if ratio < 10 else f"{ratio:,.0f}"


if __name__ == "__main__":
    Console(width=170).print(protocols())
