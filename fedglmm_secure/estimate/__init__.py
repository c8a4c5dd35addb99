"""Estimators: generators of questions that run on the coordinator and know nothing of networks or cryptography."""

from fedglmm_secure.estimate.estimator import estimator
from fedglmm_secure.estimate.result import FitResult, TraceRow

__all__ = ["FitResult", "TraceRow", "estimator"]
