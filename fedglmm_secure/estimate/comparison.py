"""Likelihood-ratio tests of nested fits, with the mixture for a variance on the boundary."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import chdtrc

from fedglmm_secure.errors import InputError
from fedglmm_secure.estimate.nesting import Result, is_nested


@dataclass(frozen=True)
class Comparison:
    """Two nested fits and their test."""

    smaller: Result
    larger: Result
    statistic: float
    degrees: int
    p_value: float
    on_boundary: bool
    """Whether the smaller model differs by a random term, whose variance it sets to the edge of its range."""


def compare_results(first: Result, second: Result) -> Comparison:
    """Test two fits in the form of result.json. Raises InputError when they cannot be compared.

    (1) Both must be unpenalised maximum-likelihood fits of one family to the same rows. (2) One must hold all effects
    of the other. (3) With r extra random terms the chi-square statistic's distribution is, for one more random term,
    the 50:50 mixture of chi-square(df - 1) and chi-square(df) (Self and Liang 1987, JASA 82:605; Stram and Lee 1994,
    Biometrics 50:1171).
    """
    smaller, larger = sorted((first, second), key=lambda fit: int(fit["n_parameters"]))
    _check_comparable(smaller, larger)  # (1)
    if not is_nested(smaller, larger):  # (2)
        raise InputError("neither model is nested in the other; the larger one must hold every effect of the smaller")
    degrees = larger["n_parameters"] - smaller["n_parameters"]
    statistic = max(2.0 * (larger["log_likelihood"] - smaller["log_likelihood"]), 0.0)
    added = _random_terms(larger) - _random_terms(smaller)
    on_boundary = added == 1
    if added > 1:
        raise InputError("the fits differ by more than one random term; compare models that differ by one at a time")
    p_value = float(chdtrc(degrees, statistic))
    if on_boundary:  # (3)
        below = float(chdtrc(degrees - 1, statistic)) if degrees > 1 else float(statistic <= 0.0)
        p_value = 0.5 * p_value + 0.5 * below
    return Comparison(smaller, larger, statistic, degrees, p_value, on_boundary)


def _check_comparable(smaller: Result, larger: Result) -> None:
    for fit in (smaller, larger):
        if fit["log_likelihood"] is None or fit["model"]["penalty"]:
            raise InputError("a fit is penalised or has no likelihood; compare maximum-likelihood fits")
    for key, what in (("n_rows", "numbers of rows"), ("n_sites", "numbers of sites")):
        if smaller[key] != larger[key]:
            raise InputError(
                f"the fits have different {what} ({smaller[key]} and {larger[key]}), so they are not of the same data; "
                "fit both to the same rows"
            )
    for key, what in (("family", "families"), ("offset", "offsets"), ("weights", "weights"), ("trials", "trials")):
        if smaller["model"].get(key) != larger["model"].get(key):
            raise InputError(f"the fits have different {what}; compare models that differ in their formulas alone")
    if smaller["model"]["nodes"] != larger["model"]["nodes"] and smaller["random_effects"]:
        raise InputError("the fits have different numbers of quadrature nodes; fit both with the same")
    if larger["n_parameters"] == smaller["n_parameters"]:
        raise InputError("the fits have the same number of parameters; neither is nested in the other")


def _random_terms(fit: Result) -> int:
    return sum(len(effect["terms"]) for effect in fit["random_effects"])
