"""The errors of the whole project: one tree, split by whose fault it is.

Each error is one sentence that names the file, key or column and says what to do; its class carries the exit code
that the programs end with. Nothing below ever reaches a user as a bare ``ValueError``.
"""

from __future__ import annotations


class FedglmmError(Exception):
    """The root of the tree; ``exit_code`` is what a program that ends with this error returns."""

    exit_code = 1


class InputError(FedglmmError):
    """The user's input is wrong: a file, the study, a table or an option (exit code 2)."""

    exit_code = 2


class TableError(InputError):
    """A site's own table does not fit the study. The sentence holds counts: it is for the site's eyes only."""


class RefusalError(FedglmmError):
    """A site refuses to go on: approval, policy, disclosure, digest or identity (exit code 3)."""

    exit_code = 3


class OwnRowsError(RefusalError):
    """A site refuses because of its own rows. That it does is told to others; the sentence is for the site alone."""


class FitError(FedglmmError):
    """The fit has no answer: not converged, separated, or nothing left to estimate (exit code 4)."""

    exit_code = 4


class LinkError(FedglmmError):
    """No connection, a broken one, or a time-out (exit code 5)."""

    exit_code = 5


class PeerError(FedglmmError):
    """Another party broke the protocol: a wrong signature, a replay, a vector of the wrong length (exit code 6)."""

    exit_code = 6


class QuantityError(FitError):
    """A number cannot be put into fixed point: NaN, infinite or too large. The sentence names the quantity."""
