"""What is said of a run: when it began, how it ended, what it reached, and the command that repeats it."""

from __future__ import annotations

import shlex
import time

from netforge.inspect.run import Run

ENDINGS = {
    "finished": "finished",
    "stopped": "stopped on request",
    "aborted": "broken off on request, without a snapshot",
    "failed": "failed",
}


def started(run: Run) -> str:
    """When the run began, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(run.start))


def ending_text(run: Run) -> str:
    """How the run ended, or that nobody knows."""
    if run.reason is None:
        return "its log has no end: it goes on, or was killed"
    return ENDINGS.get(run.reason, run.reason) + (f": {run.error}" if run.error else "")


def final_scores(run: Run) -> dict[str, float]:
    """The newest value of every output of one number that tests gave; scores first, losses behind them."""
    return {
        name if not test.net else f"{name} (test net #{test.net})": value
        for test in run.final_tests()
        for name, value in sorted(test.outputs.items(), key=lambda item: item[0] in test.losses)
        if isinstance(value, float)
    }


def command_line(run: Run) -> str:
    """The command that does the same run again: the recorded one with the seed that was drawn."""
    words = list(run.command)
    if not words:
        words = ["netforge", "train", "--solver", run.source]
        words += ["--snapshot", run.restored_from] if run.restored_from else []
        words += [f"--weights={one}" for one in run.weights]
    if not any(word.startswith(("--seed", "--set=random_seed=")) for word in words):
        words.append(f"--seed={run.seed}")
    return shlex.join(words)
