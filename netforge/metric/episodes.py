"""Few-shot episodes: name images of classes never seen before from a few examples of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netforge.data.sampling import Words, permutation, random_words
from netforge.device.random import RandomStream
from netforge.errors import DataError, counted
from netforge.metric.arrays import Flags, Floats, Integers, as_labels, as_points, check_least
from netforge.metric.classify import nearest_centroid

NORMAL_95 = 1.959963984540054
"""97.5 % quantile of the standard normal distribution: 95 % lie within +- this."""


@dataclass(frozen=True)
class Episodes:
    """accuracies: (episodes,) the share of right answers in each."""

    accuracies: Floats

    @property
    def accuracy(self) -> float:
        """The mean over episodes."""
        return float(self.accuracies.mean())

    @property
    def interval(self) -> float:
        """Half the width of the 95 % confidence interval of the mean: 1.96 s / sqrt(episodes); 0 for one episode."""
        if len(self.accuracies) < 2:
            return 0.0
        return float(NORMAL_95 * self.accuracies.std(ddof=1) / np.sqrt(len(self.accuracies)))


def nway_kshot(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    ways: int = 5,
    shots: int = 1,
    queries: int = 5,
    episodes: int = 400,
    seed: int = 0,
    groups: npt.ArrayLike | None = None,
) -> Episodes:
    """N-way K-shot accuracy (Vinyals et al. 2016; Snell et al. 2017).

    An episode draws `ways` classes, and of each `shots` support images and `queries` other images. A query is right
    where the mean of its own class's support embeddings is the nearest (squared Euclidean distance; with one shot, the
    nearest neighbour).

    embeddings: (n, D). labels: (n,) integers. groups: (n,) integers, such as who drew an image: each episode deals the
    groups out, at random in the proportion of shots to queries, to support and query, so that none stands in both.
    What is drawn depends on `seed` and the number of the episode alone.

    Raises DataError where fewer than `ways` classes have images enough.
    """
    points = as_points(embeddings)
    values = as_labels(labels, len(points))
    for name, value, least in (
        ("ways", ways, 2),
        ("shots", shots, 1),
        ("queries", queries, 1),
        ("episodes", episodes, 1),
    ):
        check_least(name, value, least)
    dealer = Dealer(values, None if groups is None else as_labels(groups, len(points), "groups"), shots, queries)
    stream = RandomStream(seed, "episodes")
    truth = np.repeat(np.arange(ways), queries)
    accuracies = np.empty(episodes)
    for episode in range(episodes):
        support, asked = dealer.deal(random_words(stream, episode, dealer.words), ways)
        nearest, _ = nearest_centroid(points[asked.reshape(-1)], points[support].mean(axis=1))
        accuracies[episode] = (nearest == truth).mean()
    return Episodes(accuracies)


class Dealer:
    """Draws the images of episodes. `words`: random words that an episode takes."""

    def __init__(self, labels: Integers, groups: Integers | None, shots: int, queries: int) -> None:
        self._known, self._class_of = np.unique(labels, return_inverse=True)
        self._shots, self._queries = shots, queries
        self._group_of: Integers | None = None
        self._groups = 0
        if groups is not None:
            known, self._group_of = np.unique(groups, return_inverse=True)
            self._groups = len(known)
            if self._groups < 2:
                raise DataError("all images are of one group, which cannot stand on both sides")
        self.words = len(labels) + len(self._known) + self._groups

    def deal(self, words: Words, ways: int) -> tuple[Integers, Integers]:
        """The support images (ways, shots) and the query images (ways, queries) of one episode."""
        keys, class_words, group_words = np.split(words, [len(self._class_of), len(self._class_of) + len(self._known)])
        shots, queries = self._shots, self._queries
        if self._group_of is None:
            chosen = self._choose([(np.ones(len(keys), np.bool_), shots + queries)], class_words, ways)
            images = self._pick(chosen[self._class_of], keys, shots + queries)
            return images[:, :shots], images[:, shots:]
        dealt = np.zeros(self._groups, np.bool_)
        share = min(max(round(self._groups * shots / (shots + queries)), 1), self._groups - 1)
        dealt[permutation(group_words)[:share]] = True
        supporting = dealt[self._group_of]
        chosen = self._choose([(supporting, shots), (~supporting, queries)], class_words, ways)
        inside = chosen[self._class_of]
        return self._pick(inside & supporting, keys, shots), self._pick(inside & ~supporting, keys, queries)

    def _choose(self, needs: list[tuple[Flags, int]], words: Words, ways: int) -> Flags:
        """Which classes take part, (classes,): `ways` of those that have as many images as each need asks for."""
        enough = np.ones(len(self._known), np.bool_)
        for images, count in needs:
            enough &= np.bincount(self._class_of[images], minlength=len(self._known)) >= count
        able = np.flatnonzero(enough)
        if len(able) < ways:
            total = counted(len(self._known), "class", "classes")
            raise DataError(
                f"{ways} ways are asked for, but of {total} {len(able)} have the {self._shots} + {self._queries} images"
                " of an episode" + (" in groups of their own" if self._groups else ""),
                mend="ask for fewer ways, shots or queries, or give more classes",
            )
        chosen = np.zeros(len(self._known), np.bool_)
        chosen[able[permutation(words[able])[:ways]]] = True
        return chosen

    def _pick(self, images: Flags, keys: Words, count: int) -> Integers:
        """`count` of the flagged images of each class that has any, (classes, count): those of the smallest keys."""
        numbers = np.flatnonzero(images)
        order = numbers[np.lexsort((keys[numbers], self._class_of[numbers]))]
        _, starts = np.unique(self._class_of[order], return_index=True)
        picked: Integers = order[starts[:, None] + np.arange(count)]
        return picked
