"""Receiver operating characteristic of distances: how many are accepted rightly and wrongly at every threshold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from netforge.errors import DataError, SettingsError
from netforge.metric.arrays import Flags, Floats, as_points


@dataclass(frozen=True)
class Roc:
    """Rates at every threshold t that makes a difference; accepted is what has a distance <= t.

    thresholds: (t,) ascending, -inf first, where nothing is accepted. true_accepts: (t,) the share of what should be
    accepted that is; false_accepts: (t,) the share of what should not be that is. Both rise from 0 to 1.
    """

    thresholds: Floats
    true_accepts: Floats
    false_accepts: Floats

    @cached_property
    def auc(self) -> float:
        """The area under the curve: the chance that a right distance is below a wrong one, ties counted half."""
        return float(np.trapezoid(self.true_accepts, self.false_accepts))

    @cached_property
    def _equal(self) -> tuple[int, float]:
        """Where false accepts overtake false rejects: after which point of the curve, and how far towards the next."""
        excess = self.false_accepts - (1 - self.true_accepts)  # rises from -1 to 1
        after = int(np.argmax(excess >= 0))
        low, high = excess[after - 1], excess[after]
        return after - 1, float(-low / (high - low))

    @property
    def eer(self) -> float:
        """The equal error rate: false accepts where they equal false rejects, linear between points of the curve."""
        start, share = self._equal
        low, high = self.false_accepts[start : start + 2]
        return float(low + share * (high - low))

    @property
    def eer_threshold(self) -> float:
        """The threshold at the equal error rate, linear between those of the two points around it."""
        start, share = self._equal
        low, high = self.thresholds[start : start + 2]
        return float(high if start == 0 else low + share * (high - low))

    def at(self, threshold: float) -> tuple[float, float]:
        """True and false accepts at any threshold."""
        place = int(np.searchsorted(self.thresholds, threshold, side="right")) - 1
        return float(self.true_accepts[max(place, 0)]), float(self.false_accepts[max(place, 0)])

    def true_accepts_at(self, false_accepts: float) -> float:
        """The largest share of true accepts, 0 to 1, with no more false accepts than given.

        Raises SettingsError for a negative share.
        """
        place = int(np.searchsorted(self.false_accepts, false_accepts, side="right")) - 1
        if place < 0:
            raise SettingsError(f"a false-accept rate of {false_accepts} is asked for", mend="give 0 or more")
        return float(self.true_accepts[place])


def roc(distances: npt.ArrayLike, accept: npt.ArrayLike) -> Roc:
    """The curve of distances (n,) that should be accepted where `accept` (n,) holds (Fawcett 2006).

    Raises DataError where only one of the two kinds is there.
    """
    values = as_points(np.reshape(distances, (-1, 1)), "distances")[:, 0]
    wanted = as_flags(accept, len(values))
    if wanted.all() or not wanted.any():
        kind = "accepted" if wanted.all() else "refused"
        raise DataError(f"all {len(values)} distances should be {kind}, a curve needs both kinds")
    order = np.argsort(values)
    values, wanted = values[order], wanted[order]
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)  # of each run of equal distances
    right = np.cumsum(wanted)[last]
    rates = [np.append(0.0, counts / counts[-1]) for counts in (right, last + 1 - right)]
    return Roc(np.append(-np.inf, values[last]), *rates)


def as_flags(values: npt.ArrayLike, count: int) -> Flags:
    """`values` as flags (count,); raises DataError for another number of them or other values than 0 and 1."""
    array = np.asarray(values)
    flags = array.reshape(-1).astype(np.bool_)
    if len(flags) != count or not np.array_equal(flags, array.reshape(-1)):
        raise DataError(f"flags have shape {array.shape}, expected {count} values 0 or 1")
    return flags
