"""What the tests of masking that survives lost sites share."""

from __future__ import annotations

from dataclasses import replace

from fedglmm_secure.securesum import Phase, labels
from fedglmm_secure.securesum.messages import Unmasking

FIVE = ("alpha", "beta", "delta", "epsilon", "gamma")
OTHERS = FIVE[1:]
SEVEN = (*FIVE, "kappa", "lambda")
DROPOUTS = {"names": FIVE, "dropouts": 1}
EXCLUDE = DROPOUTS | {"on_dropout": "exclude"}
LOST = {Phase.CONTRIBUTE: ("gamma",)}
THRESHOLD = 4


def with_part(relay, part):
    parts = {p.site: p for p in relay.parts} | {part.site: part}
    return replace(relay, parts=tuple(parts[site] for site in sorted(parts)))


def part_of(relay, site):
    return next(part for part in relay.parts if part.site == site)


def context_of(world):
    return world.sites["alpha"]._sum.view.context


def self_seed_of(world, name):
    return world.sites[name]._seed.derive(labels.SEED_SELF_MASK, context_of(world))


def released(world, *sites):
    """The shares that honest sites gave away: by member, what each site gave."""
    members = world.sites["alpha"]._sum._protected._members
    sent = {name: world.sites[name]._sum.sent for name in sites}
    assert all(isinstance(message, Unmasking) for message in sent.values())
    return {
        member: {world.terms.index_of(name): message.shares[place] for name, message in sent.items()}
        for place, member in enumerate(members)
    }
