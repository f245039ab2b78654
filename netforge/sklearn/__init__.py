"""For scikit-learn: nets as estimators that stand in pipelines, grid searches and cross-validation.

>>> from netforge.sklearn import MetricLearner
>>> from sklearn.datasets import load_iris
>>> from sklearn.model_selection import cross_val_score
>>> X, y = load_iris(return_X_y=True)
>>> scores = cross_val_score(MetricLearner(max_iter=40, random_state=0), X, y, cv=3)
>>> bool(scores.mean() > 0.9)
True
"""

from __future__ import annotations

from netforge.sklearn.inputs import InputError
from netforge.sklearn.learner import MetricLearner

__all__ = ["InputError", "MetricLearner"]
