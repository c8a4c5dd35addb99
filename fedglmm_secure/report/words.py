"""What a page says in sentences: the model, the cohort, the protection, and what a result does not hold."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

from fedglmm_secure.estimate import FitResult
from fedglmm_secure.report.numbers import amount, count, number

REGRESSION = {"binomial": "logistic", "poisson": "Poisson", "gaussian": "linear"}
OUTCOME = {
    "binomial": "a binary outcome, logit link",
    "poisson": "a count, log link",
    "gaussian": "a continuous outcome, identity link",
}
RATIO = {"binomial": "Odds ratio", "poisson": "Rate ratio"}
CRITERION = {
    "aic": "the smallest AIC",
    "bic": "the smallest BIC",
    "validation": "the largest log-likelihood of held-out rows",
}


def model(fit: FitResult) -> list[str]:
    """The model and how it was fitted."""
    family, method, penalty = fit.model.family, fit.model.method, fit.model.penalty
    kind = REGRESSION.get(family, family)
    outcome = "successes out of trials, logit link" if fit.model.trials else OUTCOME.get(family, family)
    mixed = "mixed model" if method != "glm" else "regression without random effects"
    terms = [f"{_listed(_term(term) for term in effect.terms)} by {effect.group}" for effect in fit.random_effects]
    sentences = [
        f"A {kind} {mixed} ({outcome})" + (f", with {_listed(terms)}" if terms else "") + f", fitted by {_method(fit)}."
    ]
    if penalty:
        sentences.append(
            f"An L2 penalty of {penalty:g} on the standardised coefficients draws the estimates towards zero."
        )
    columns = [
        ("offset", fit.model.offset),
        ("prior weights", fit.model.weights),
        ("numbers of trials", fit.model.trials),
    ]
    given = [f"{what} in the column {name}" for what, name in columns if name]
    if given:
        sentences.append(f"{_capital(_listed(given))}.")
    return sentences


def choice(fit: FitResult) -> str:
    """How one penalty of the path was chosen."""
    by = CRITERION.get(fit.selection or "", fit.selection or "no criterion")
    held_out = (
        " The path was fitted to the training rows that each site drew, the chosen penalty again to all rows."
        if fit.selection == "validation"
        else ""
    )
    return f"Chosen by {by}: penalty {fit.model.penalty:g}.{held_out}"


def cohort(fit: FitResult) -> list[tuple[str, str]]:
    """Sites, groups and rows."""
    groups = [(f"Groups of {name}", count(groups)) for name, groups in fit.n_groups.items() if name != "site"]
    return [
        ("Sites", count(fit.n_sites)),
        *groups,
        ("Rows used", count(fit.n_rows)),
        ("Rows left out, with a missing value", count(fit.n_rows_dropped)),
    ]


def criteria(fit: FitResult) -> list[tuple[str, str]]:
    """Fit statistics, those that the method has."""
    rows = [
        ("Log-likelihood", fit.log_likelihood, 4),
        ("AIC", fit.aic, 2),
        ("BIC", fit.bic, 2),
        ("Effective parameters", fit.effective_parameters if fit.model.penalty else None, 2),
        ("Residual SD", fit.residual_std_dev, 5),
    ]
    return [
        *((name, number(value, digits)) for name, value, digits in rows if value is not None),
        ("Parameters", count(fit.n_parameters)),
        ("Gradient at the estimate", number(fit.gradient_norm, 1)),
    ]


def alerts(fit: FitResult) -> list[tuple[str, str]]:
    """What a reader must know before the numbers: a word and a sentence each."""
    found = []
    if not fit.converged:
        found.append(("Not converged", "The search did not reach a maximum: these numbers are not estimates."))
    if fit.singular and not any("singular" in warning for warning in fit.warnings):
        found.append(("Singular", "A variance is estimated as zero, or a correlation as 1 or -1."))
    found += [("Warning", _capital(warning) + ".") for warning in fit.warnings]
    if fit.security.protocol == "plain":
        found.append(("Not protected", "The sites sent their numbers as they are, which is for rehearsals only."))
    return found


def notes(fit: FitResult) -> list[tuple[str, str]]:
    """Where the numbers come from, if not from hospitals."""
    if fit.security.protocol == "pooled":
        return [("Pooled reference", "One table held all rows; nothing was federated.")]
    if fit.study.rehearsal:
        return [("Rehearsal", "All tables were on one machine, and the sites' identities were made for the occasion.")]
    return []


def protection(fit: FitResult) -> list[str]:
    """How the sums were protected and what they were."""
    security = fit.security
    if security.protocol == "pooled":
        return ["One table held all rows, so there was nothing to protect."]
    sites = "sites that took part" if security.dropouts else amount(fit.n_sites, "site")
    how = {
        "masking": f"Pairwise masks hid every number that a site sent. They cancel only in the sum over the {sites}, "
        "so the coordinator learned sums and no site's share.",
        "paillier": f"Every number that a site sent was encrypted (threshold Paillier). Only the sum over the {sites} "
        "was decrypted, by several sites together, so the coordinator learned sums and no site's share.",
        "plain": "Nothing was protected: the coordinator saw every number of every site.",
    }
    sentences = [how.get(security.protocol, f"Protocol: {security.protocol}.")]
    if security.protocol in ("masking", "paillier"):
        lost = (
            f"A sum could be opened with up to {amount(security.dropouts, 'site')} lost."
            if security.dropouts
            else "Without every site no sum could be opened."
        )
        least = amount(security.minimum_sites, "site")
        sentences.append(f"{lost} Sites take part only in sums over at least {least}.")
    verb = "was" if security.sums == 1 else "were"
    asked = f"{amount(security.sums, 'sum')} {verb} asked for"
    known = len(security.numbers_per_sum)
    if known != security.sums:  # a fit that was begun again lists its own sums alone
        asked += f", the last {count(known)} by the fit that ended"
    sentences.append(f"{asked}: {_sizes(fit)}.")
    return sentences


def absent(fit: FitResult) -> list[str]:
    """What a reader will not find here, and why."""
    sentences = [
        "No patient's row, and nothing of a single site but its name and the bytes that it sent.",
        "No residual plots or other checks that need rows: each site can make its own.",
        "Wald tests and intervals only. With few groups they tend to be too narrow, above all for standard deviations; "
        "fedglmm compare gives the likelihood-ratio test of two nested fits.",
        "No proof that every site's table was right, nor that sums and estimates reveal nothing: the first is for the "
        "sites, the second for the study's rules of disclosure.",
    ]
    if fit.random_effects:
        sentences.insert(
            1,
            "No conditional modes of groups: each site computed those of its own groups, and fedglmm report shows "
            "them from the folder that it keeps.",
        )
    return sentences


def _method(fit: FitResult) -> str:
    method, family = fit.model.method, fit.model.family
    if method == "pql":
        return "penalised quasi-likelihood, which has no log-likelihood, AIC or BIC"
    likelihood = "penalised maximum likelihood" if fit.model.penalty else "maximum likelihood"
    if method == "glm":
        return likelihood
    if family == "gaussian":
        return f"{likelihood} (not REML), for which the integral over the random effects is exact"
    integral = (
        f"adaptive Gauss-Hermite quadrature with {amount(fit.model.nodes, 'node')}"
        if method == "agh"
        else "Laplace's approximation"
        if method == "laplace"
        else method
    )
    return f"{likelihood}, the integral over the random effects by {integral}"


def _term(term: str) -> str:
    return "a random intercept" if term == "Intercept" else f"a random slope of {term}"


def _sizes(fit: FitResult) -> str:
    """``one of 49 numbers, 6 of 28 numbers``: consecutive sums of the same length together."""
    runs = [(size, len(list(run))) for size, run in groupby(fit.security.numbers_per_sum)]
    if len(runs) > 6:
        total = sum(fit.security.numbers_per_sum)
        return f"{count(total)} numbers from each site, at most {count(max(fit.security.numbers_per_sum))} a sum"
    return ", then ".join(
        f"{'one' if times == 1 else count(times)} of {amount(size, 'number')}" for size, times in runs
    )


def _listed(parts: Iterable[str]) -> str:
    words = list(parts)
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
