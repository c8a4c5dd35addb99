"""From a fit, or a site's report, to the page: one HTML file without scripts that asks nothing of any network."""

from __future__ import annotations

from importlib.metadata import version

from jinja2 import Environment, PackageLoader, StrictUndefined

from fedglmm_secure.estimate import FitResult
from fedglmm_secure.report import tables, words
from fedglmm_secure.report.numbers import count
from fedglmm_secure.report.plots.caterpillar import LABELLED, caterpillar
from fedglmm_secure.report.plots.convergence import convergence
from fedglmm_secure.report.plots.forest import forest
from fedglmm_secure.report.plots.penalties import penalties
from fedglmm_secure.report.reading import SiteReport


def result_page(fit: FitResult) -> str:
    """The page of a result: what was fitted to what, the estimates, how it converged and how it was protected."""
    correlations = [tables.correlations(effect) for effect in fit.random_effects]
    return _rendered(
        "result.html",
        fit=fit,
        words=words,
        fixed_effects=tables.fixed_effects(fit),
        forest=forest(fit),
        random_effects=tables.random_effects(fit),
        correlations=[table for table in correlations if table is not None],
        path=tables.path(fit),
        penalties=penalties(fit),
        sums=tables.sums(fit),
        convergence=convergence(fit),
    )


def site_page(report: SiteReport) -> str:
    """The page of a site's own report, with its groups' conditional modes: for that site alone."""
    return _rendered(
        "site.html",
        report=report,
        modes=tables.modes(report) if 0 < len(report.groups) <= LABELLED else None,
        caterpillar=caterpillar(report),
    )


def _rendered(template: str, **content: object) -> str:
    environment = Environment(
        loader=PackageLoader("fedglmm_secure.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = count
    program = f"fedglmm-secure {version('fedglmm-secure')}"
    return environment.get_template(template).render(program=program, **content)
