"""One site's rows as the study divides them, ready to answer questions."""

from __future__ import annotations

import numpy as np

from fedglmm_secure.errors import InputError, PeerError
from fedglmm_secure.model.answers import answer, footing, part_of
from fedglmm_secure.model.description import Description
from fedglmm_secure.model.questions import ALL, TRAINING, Describe, MarginalDerivatives, Question
from fedglmm_secure.ring import Vector
from fedglmm_secure.study.disclosure import check_local
from fedglmm_secure.study.guard import check_footing, check_plausible
from fedglmm_secure.study.split import DividableDesign
from fedglmm_secure.study.study import Study


class SiteRows:
    """The complete rows of one site, and the training and validation rows that it draws when the study has them."""

    def __init__(self, study: Study, design: DividableDesign, site: str) -> None:
        """Draw the parts, if the study chooses its penalty by validation.

        Raises RefusalError when the study asks for more than its disclosure limits let this site tell.
        """
        check_local(study, design, site)
        self.design = design
        self._study, self._layout = study, study.layout
        self._asked: dict[tuple[float, ...], str] = {}
        self._training: DividableDesign | None = None
        self._validation: DividableDesign | None = None
        if study.validation is not None:
            self._training, self._validation = study.split(design, site)

    def answer(self, question: Question) -> Vector:
        """This site's share of the answer, one number for each of the question's slots.

        Raises OwnRowsError when it would rest on too few rows, PeerError for a description that cannot be, or for what
        would give the validation rows by subtraction.
        """
        part = part_of(question)
        rows = self.design if part == ALL else self._training if part == TRAINING else self._validation
        if rows is None:
            raise InputError(f"the study sets no {part} rows aside; add [validation] or ask for all rows")
        if not isinstance(question, Describe):
            description = Description.unpack(np.array(question.description), self._layout)
            check_plausible(description, self.design.rows, self.design.level_counts)
        self._refuse_subtraction(question)
        if rows.rows and (at := footing(question, self._layout, rows)) is not None:
            check_footing(self._study, at)
        return answer(question, self._layout, rows)

    def _refuse_subtraction(self, question: Question) -> None:
        """All rows less the training rows are the validation rows: never both at one theta."""
        if self._study.validation is None or not isinstance(question, MarginalDerivatives):
            return
        if self._asked.setdefault(question.theta, question.part) != question.part:
            raise PeerError(
                "the coordinator asks for all rows and for the training rows at the same parameters, which would give "
                "the validation rows alone; do not trust this coordinator"
            )

    def __repr__(self) -> str:
        return "SiteRows(<private>)"
