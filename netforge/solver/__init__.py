"""Training: update rules, learning-rate policies, the training loop and those who listen to it."""

from __future__ import annotations

from netforge.solver.evaluation import evaluate
from netforge.solver.events import Display, Listener, Norms, Output, SnapshotPaths, StopReason, TestResult
from netforge.solver.label_queries import StoredLabelQueries
from netforge.solver.policies import POLICIES, register_policy
from netforge.solver.rules import SOLVERS, Buffers, UpdateRule, register_solver
from netforge.solver.runlog import RunLog
from netforge.solver.solver import Solver

__all__ = [
    "POLICIES",
    "SOLVERS",
    "Buffers",
    "Display",
    "Listener",
    "Norms",
    "Output",
    "RunLog",
    "SnapshotPaths",
    "Solver",
    "StopReason",
    "StoredLabelQueries",
    "TestResult",
    "UpdateRule",
    "evaluate",
    "register_policy",
    "register_solver",
]
