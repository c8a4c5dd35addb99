"""Estimators: generators of questions that run on the coordinator and know nothing of networks or cryptography.

``estimator`` makes one, for a study; it is imported from its module, so that what only shows a result loads none of the
mathematics.
"""

from fedglmm_secure.estimate.result import FitResult, TraceRow

__all__ = ["FitResult", "TraceRow"]
