"""What ``fedglmm study check`` says of a study."""

from __future__ import annotations

from fedglmm_secure.study import Study
from fedglmm_secure.study.disclosure import parameters as parameters_of

METHODS = {"laplace": "Laplace", "glm": "no random effects", "pql": "penalised quasi-likelihood"}


def description(study: Study) -> str:
    """A study in plain words."""
    model, layout, security, disclosure = study.model, study.layout, study.security, study.disclosure
    method = METHODS.get(model.method, f"adaptive Gauss-Hermite, {model.nodes} nodes")
    parameters = parameters_of(study)
    numbers = 1 + parameters + parameters * (parameters + 1) // 2
    rows = (
        ("study", f"{study.study.id}: {study.study.title}" if study.study.title else study.study.id),
        ("digest", study.hexdigest),
        ("model", f"{model.formula}  ({model.family}, {method})"),
        ("fixed effects", ", ".join(layout.columns[: len(layout.columns) - (model.family == "gaussian")])),
        ("random effects", f"{', '.join(layout.terms)} by {layout.group}" if layout.terms else "none"),
        ("parameters", f"{parameters}; each sum of a fit after the first is {numbers} numbers"),
        ("sites", ", ".join(site.name for site in study.sites) or "none yet"),
        ("security", f"{security.protocol}, at least {security.minimum_sites} sites, {security.dropouts} dropouts"),
        (
            "disclosure",
            f"cells of at least {disclosure.minimum_cell} rows, {disclosure.minimum_rows} rows in all, "
            f"at most {disclosure.maximum_parameters_per_row:g} parameters a row, "
            f"{disclosure.maximum_levels} levels and {disclosure.maximum_levels_per_row:g} levels a row",
        ),
    )
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {text}" for name, text in rows]
    return "\n".join([*lines, *(f"warning: {sentence}" for sentence in study.warnings())])
