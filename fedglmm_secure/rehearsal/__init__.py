"""A study on one machine, for tests, examples and the Python functions ``rehearse`` and ``fit_pooled``."""

from fedglmm_secure.rehearsal.memory import Rehearsal, rehearse, rehearse_in_memory
from fedglmm_secure.rehearsal.pooled import fit_pooled
from fedglmm_secure.rehearsal.weather import Weather

__all__ = ["Rehearsal", "Weather", "fit_pooled", "rehearse", "rehearse_in_memory"]
