"""The only things a coordinator may ask. Each states its meaning in plain words and names each number of its answer.

A question is a frozen value; a site answers it from its own rows with the pure function ``answers.answer``. Only the
sum of all sites' answers is ever seen outside a site.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

from fedglmm_secure import canonical
from fedglmm_secure.errors import InputError
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.description import Description, grid
from fedglmm_secure.model.design import Layout

ALL, TRAINING, VALIDATION = "all", "training", "validation"
"""Parts of a site's rows: every one, or those drawn to fit with and those to choose a penalty by."""


@dataclass(frozen=True)
class Describe:
    """Counts and moments of the range-scaled columns, and the working model from which a fit starts."""

    kind: ClassVar[str] = "describe"
    meaning: ClassVar[str] = (
        "how many rows and groups there are, how many rows at each level, sums of the columns (scaled by the declared "
        "ranges) and of their products, and a quadratic approximation of the likelihood at the site's own first fit"
    )

    def slots(self, layout: Layout) -> tuple[str, ...]:
        """A name for each number of the answer, in order."""
        pairs = _triangle(layout.columns)
        return (
            *Description.slots(layout),
            *(f"sum of {pair}" for pair in pairs),
            *(
                f"working model at sd {', '.join(f'{sd:g}' for sd in sds)}: {part}"
                for sds in grid(layout)
                for part in _derivative_slots((*layout.columns, *tau_names(layout)))
            ),
        )

    def fields(self) -> tuple[object, ...]:
        """What the question's canonical bytes are made of."""
        return (self.kind,)


@dataclass(frozen=True)
class MarginalDerivatives:
    """Marginal log-likelihood, gradient and Hessian at theta, with ``nodes`` quadrature nodes (1: Laplace).

    Self-contained: ``description`` is the pooled Description, by which every site standardises the columns that are
    kept and checks the pooled disclosure limits; as it is part of the question, all sites of a sum were told the same.
    """

    kind: ClassVar[str] = "marginal derivatives"
    meaning: ClassVar[str] = (
        "the log-likelihood of the model at one value of its parameters, with its first and second derivatives"
    )

    theta: tuple[float, ...]
    """beta for the standardised ``columns``, then tau."""
    nodes: int
    columns: tuple[int, ...]
    """Positions of the fixed effects that are kept (a rank-deficient design drops some)."""
    description: tuple[float, ...]
    part: str = ALL
    """Which rows: all of them, or those set aside for training."""

    def slots(self, layout: Layout) -> tuple[str, ...]:
        """A name for each number of the answer, in order: 1 + P + P(P+1)/2 of them."""
        return _derivative_slots((*(layout.columns[i] for i in self.columns), *tau_names(layout)))

    def fields(self) -> tuple[object, ...]:
        """What the question's canonical bytes are made of."""
        return (self.kind, self.theta, self.nodes, self.columns, self.description, self.part)


@dataclass(frozen=True)
class HeldOutLikelihood:
    """The marginal log-likelihood of the validation rows at each of several thetas: how well each fit predicts."""

    kind: ClassVar[str] = "held-out likelihood"
    meaning: ClassVar[str] = (
        "the log-likelihood of the rows that the site set aside, at the estimates of each penalty in turn"
    )

    thetas: tuple[tuple[float, ...], ...]
    nodes: int
    columns: tuple[int, ...]
    description: tuple[float, ...]

    def slots(self, layout: Layout) -> tuple[str, ...]:
        """A name for each number of the answer: the validation rows, then one log-likelihood a theta."""
        return ("validation rows", *(f"held-out log-likelihood {i + 1}" for i in range(len(self.thetas))))

    def fields(self) -> tuple[object, ...]:
        """What the question's canonical bytes are made of."""
        return (self.kind, self.thetas, self.nodes, self.columns, self.description)


@dataclass(frozen=True)
class WorkingDerivatives:
    """Derivatives of the linear mixed model that approximates the model at theta (penalised quasi-likelihood).

    theta = (beta, psi, tau), psi = 1 / phi being the working residuals' inverse scale: the coefficients of a weighted
    linear mixed model for the working response, in the form of Design, linearised at beta / psi and Lambda = tau.
    """

    kind: ClassVar[str] = "working derivatives"
    meaning: ClassVar[str] = (
        "the log-likelihood of a linear mixed model for the working response at one value of the parameters, with its "
        "first and second derivatives"
    )

    theta: tuple[float, ...]
    columns: tuple[int, ...]
    description: tuple[float, ...]

    def slots(self, layout: Layout) -> tuple[str, ...]:
        """A name for each number of the answer, in order: 1 + P + P(P+1)/2 of them."""
        return _derivative_slots((*(layout.columns[i] for i in self.columns), "working response", *tau_names(layout)))

    def fields(self) -> tuple[object, ...]:
        """What the question's canonical bytes are made of."""
        return (self.kind, self.theta, self.columns, self.description)


Question = Describe | MarginalDerivatives | HeldOutLikelihood | WorkingDerivatives


def encode(question: Question) -> bytes:
    """Canonical bytes of a question: equal for equal questions, and for no others."""
    return canonical.encode(list(question.fields()))


def decode(content: bytes) -> Question:
    """The question of canonical bytes, as a site has them in its journal; InputError where no question has them."""
    try:
        match cast("tuple[Any, ...]", canonical.decode(content)):
            case (Describe.kind,):
                return Describe()
            case (MarginalDerivatives.kind, *fields):
                question: Question = MarginalDerivatives(*fields)
            case (HeldOutLikelihood.kind, *fields):
                question = HeldOutLikelihood(*fields)
            case (WorkingDerivatives.kind, *fields):
                question = WorkingDerivatives(*fields)
            case _:
                raise ValueError("no question has this kind")
    except (ValueError, TypeError, RecursionError):
        raise InputError("a question in the journal is none of this version; join with another --out folder") from None
    return question


def tau_names(layout: Layout) -> tuple[str, ...]:
    """A name for each free entry of Lambda."""
    rows, columns = Pattern(layout.blocks).entries
    return tuple(
        f"sd of {layout.terms[a]} by {layout.group}"
        if a == b
        else f"covariance of {layout.terms[b]} and {layout.terms[a]} by {layout.group}"
        for a, b in zip(rows.tolist(), columns.tolist(), strict=True)
    )


def _derivative_slots(names: tuple[str, ...]) -> tuple[str, ...]:
    return (
        "log-likelihood",
        *(f"gradient in {name}" for name in names),
        *(f"Hessian in {pair}" for pair in _triangle(names)),
    )


def _triangle(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the upper triangle of a symmetric matrix, row by row (the order of numpy.triu_indices)."""
    return tuple(f"{a} x {b}" for i, a in enumerate(names) for b in names[i:])
