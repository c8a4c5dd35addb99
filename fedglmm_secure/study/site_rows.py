"""One site's rows as the study divides them, ready to answer questions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fedglmm_secure.errors import InputError, PeerError
from fedglmm_secure.model.answers import answer, footing, part_of
from fedglmm_secure.model.covariance import Pattern
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.design import Matrix
from fedglmm_secure.model.questions import (
    ALL,
    TRAINING,
    Describe,
    HeldOutLikelihood,
    MarginalDerivatives,
    Question,
)
from fedglmm_secure.ring import Vector
from fedglmm_secure.study.disclosure import check_local
from fedglmm_secure.study.guard import check_footing, check_plausible
from fedglmm_secure.study.split import DividableDesign
from fedglmm_secure.study.study import Study

NEAR = 1e-4
"""Relative to the length of theta, or to 1 if that is longer. The fits to the training rows and to all end much further
apart: by about sqrt(f P / n) for n rows of which a share f validates, and limits on the rows see to it that f n is not
small."""


class SiteRows:
    """The complete rows of one site, and the training and validation rows that it draws when the study has them."""

    def __init__(self, study: Study, design: DividableDesign, site: str) -> None:
        """Draw the parts, if the study chooses its penalty by validation.

        Raises RefusalError when the study asks for more than its disclosure limits let this site tell.
        """
        check_local(study, design, site)  # (rules c and 6)
        self.design = design
        self._study, self._layout = study, study.layout
        self._description: tuple[float, ...] = ()
        self._is_plausible = False
        """Whether the description has been checked in this process."""
        self._asked: list[tuple[str, Vector]] = []
        """The part and the parameters, in the table's own units, of each question where the study divides the rows."""
        self._held_out: HeldOutLikelihood | None = None
        """The one question about the validation rows since the last description."""
        self._training: DividableDesign | None = None
        self._validation: DividableDesign | None = None
        if study.validation is not None:
            self._training, self._validation = study.split(design, site)

    def answer(self, question: Question) -> Vector:
        """This site's share of the answer, one number for each of the question's slots.

        Raises OwnRowsError when it would rest on too few rows, PeerError for a description that cannot be, or for what
        would give the validation rows by subtraction, or more of them than a fit needs.
        """
        part = part_of(question)
        rows = self.design if part == ALL else self._training if part == TRAINING else self._validation
        if rows is None:
            raise InputError(f"the study sets no {part} rows aside; add [validation] or ask for all rows")
        if isinstance(question, Describe):
            self._forget_description()  # asked again only of a smaller cohort, which has another one
        else:
            self._check_description(question.description)
        if isinstance(question, HeldOutLikelihood):
            if self._held_out not in (None, question):  # (rule 30)
                raise PeerError(
                    "the coordinator asks about the validation rows a second time, and a fit needs them once; do not "
                    "trust this coordinator"
                )
            self._held_out = question
        self._refuse_subtraction(question)
        if rows.rows and (at := footing(question, self._layout, rows)) is not None:
            check_footing(self._study, at)
        return answer(question, self._layout, rows)

    def recall(self, asked: Iterable[Question]) -> None:
        """Take back what was asked, in order, before this site was started again.

        The last of it may never have been answered, or was refused: ``answer`` judges it as if it had not been here.
        """
        for question in asked:
            if isinstance(question, Describe):
                self._forget_description()
                continue
            self._description = self._description or question.description
            if isinstance(question, HeldOutLikelihood):
                self._held_out = self._held_out or question
            if self._study.validation is not None and isinstance(question, MarginalDerivatives):
                self._asked.append((question.part, self._in_table_units(question)))

    def _check_description(self, told: tuple[float, ...]) -> None:
        """The pooled description can be, and is the one that was told first: it fixes the units of theta."""
        if self._description and told != self._description:  # (rule 29)
            raise PeerError(
                "the coordinator changes its pooled description between two questions; do not trust this coordinator"
            )
        if not self._is_plausible:
            check_plausible(self._study, Description.unpack(np.array(told), self._layout), self.design)
        self._description, self._is_plausible = told, True

    def _forget_description(self) -> None:
        self._description, self._is_plausible, self._held_out = (), False, None

    def _refuse_subtraction(self, question: Question) -> None:
        """All rows less the training rows are the validation rows: never both at one theta, or next to it."""
        if self._study.validation is None or not isinstance(question, MarginalDerivatives):
            return
        theta = self._in_table_units(question)
        others = [other for part, other in self._asked if part != question.part]
        from_table = np.linalg.inv(self._to_table(question.description, tuple(range(len(self._layout.columns)))))
        for other in others:
            apart, length = (float(np.linalg.norm(from_table @ vector)) for vector in (theta - other, other))
            if apart <= NEAR * max(1.0, length):  # (rule 30)
                raise PeerError(
                    "the coordinator asks for all rows and for the training rows at the same parameters, or nearly the "
                    "same, which would give the validation rows alone; do not trust this coordinator"
                )
        self._asked.append((question.part, theta))

    def _in_table_units(self, question: MarginalDerivatives) -> Vector:
        """theta as it is whatever was described, with 0 for the columns that are left out.

        Lambda is in the one sign that stands for both.
        """
        pattern, p, kept = Pattern(self._layout.blocks), len(self._layout.columns), question.columns
        theta = np.array(question.theta)
        theta[len(kept) :] = pattern.with_positive_diagonal(theta[len(kept) :])
        full = np.zeros(p + pattern.size)
        full[[*kept, *range(p, full.size)]] = self._to_table(question.description, kept) @ theta
        return full

    def _to_table(self, description: tuple[float, ...], columns: tuple[int, ...]) -> Matrix:
        units = Description.unpack(np.array(description), self._layout).units(self._layout, columns)
        return units.to_table(Pattern(self._layout.blocks))

    def __repr__(self) -> str:
        return "SiteRows(<private>)"
