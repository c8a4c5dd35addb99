"""One site's rows as the study divides them, ready to answer questions."""

from __future__ import annotations

from fedglmm_secure.errors import InputError
from fedglmm_secure.model.answers import answer, effective_rows, part_of
from fedglmm_secure.model.questions import ALL, TRAINING, Question
from fedglmm_secure.ring import Vector
from fedglmm_secure.study.guard import check_effective_rows
from fedglmm_secure.study.split import DividableDesign
from fedglmm_secure.study.study import Study


class SiteRows:
    """The complete rows of one site, and the training and validation rows that it draws when the study has them."""

    def __init__(self, study: Study, design: DividableDesign, site: str) -> None:
        """Draw the parts, if the study chooses its penalty by validation."""
        self.design = design
        self._study, self._layout = study, study.layout
        self._training: DividableDesign | None = None
        self._validation: DividableDesign | None = None
        if study.validation is not None:
            self._training, self._validation = study.split(design, site)

    def answer(self, question: Question) -> Vector:
        """This site's share of the answer, one number for each of the question's slots.

        Raises RefusalError when it would rest on too few rows.
        """
        part = part_of(question)
        rows = self.design if part == ALL else self._training if part == TRAINING else self._validation
        if rows is None:
            raise InputError(f"the study sets no {part} rows aside; add [validation] or ask for all rows")
        if rows.rows:
            check_effective_rows(self._study, effective_rows(question, self._layout, rows), rows.rows)
        return answer(question, self._layout, rows)

    def __repr__(self) -> str:
        return "SiteRows(<private>)"
