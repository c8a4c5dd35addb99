"""The study file, which every site approves: formula, variables, roster and policies, and their digest."""

from fedglmm_secure.study.formula import Formula, RandomTerm, parse_formula
from fedglmm_secure.study.schema import Site, Variable
from fedglmm_secure.study.split import DividableDesign
from fedglmm_secure.study.study import Study
from fedglmm_secure.study.table import parse_table

__all__ = ["DividableDesign", "Formula", "RandomTerm", "Site", "Study", "Variable", "parse_formula", "parse_table"]
