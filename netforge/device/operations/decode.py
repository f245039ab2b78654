"""Operations: the centroid of each class in embedding space, and distances to them.

x (N, D) are embeddings, labels (N, K) floats that hold whole numbers in [0, L) of which only column 0 counts, centroids
(L, D), counts and status (L,).
`ignored` (L,) of the floating type is 1 for classes that must never win, 0 for others; None where there are none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from netforge.device.operations.pairs import squared_distances

Array = Any

NEVER = float(np.finfo(np.float32).max)
"""The distance to a class that must never be the nearest one (Caffe's FLT_MAX)."""


class DecodeOps:
    """NumPy reference of class centroids and distances to them."""

    def centroid_update(
        self,
        x: Array,
        labels: Array,
        centroids: Array,
        counts: Array,
        status: Array,
        ignored: Array | None,
        horizon: int,
    ) -> None:
        """Take the items of a batch, in order, into the running estimate of their classes' centroids.

        The item that follows n others of its class moves the centroid by (x - centroid) / min(n + 1, horizon): the
        exact mean of the first `horizon` items, then an exponential average over about the newest `horizon` ones.
        counts grow by one for each item; status becomes 1 at the first item beyond `horizon`, but not for ignored
        classes.

        The steps of one batch are folded into one weighted sum per class. With m items still in the mean and e after
        it: centroid * n / (n + m) * q^e + sum of x_i * w_i, where q = 1 - 1 / horizon, w_i = q^e / (n + m) for the
        first m items, and q^(e - 1 - t) / horizon for the t-th of the others.
        """
        index = labels[:, 0].astype(np.intp)
        member = index[None, :] == np.arange(len(centroids))[:, None]
        before = counts.astype(np.float64)
        arrived = member.sum(axis=1)
        rank = (np.cumsum(member, axis=1) - 1)[index, np.arange(len(index))]
        in_mean = np.clip(horizon - before, 0, arrived)
        beyond = arrived - in_mean
        decay = 1 - 1 / horizon
        fade = decay**beyond
        size = np.maximum(before + in_mean, 1)
        later = np.maximum(beyond[index] - 1 - (rank - in_mean[index]), 0)
        weight = np.where(rank < in_mean[index], (fade / size)[index], decay**later / horizon)
        keep = np.where(in_mean > 0, before / size, 1) * fade
        centroids *= keep[:, None].astype(centroids.dtype)
        centroids += (member * weight).astype(centroids.dtype) @ x
        counts += arrived.astype(counts.dtype)
        ready = beyond > 0 if ignored is None else (beyond > 0) & (ignored == 0)
        np.copyto(status, 1, where=ready)

    def absent_classes(self, counts: Array, status: Array, ignored: Array | None, absent: Array) -> None:
        """absent (L,) = 1 for classes of which no item was seen and no centroid is given, and for ignored ones."""
        np.copyto(absent, (counts == 0) & (status == 0))
        if ignored is not None:
            np.maximum(absent, ignored, out=absent)

    def centroid_distances(self, x: Array, centroids: Array, distances: Array, ignored: Array | None) -> None:
        """distances (N, L) = squared Euclidean distance of each item to each centroid; FLT_MAX for ignored classes."""
        squared_distances(x, centroids, distances)
        if ignored is not None:
            np.copyto(distances, NEVER, where=ignored != 0)

    def centroid_output(
        self, centroids: Array, status: Array, ignored: Array | None, passes: Array, least: int, out: Array
    ) -> None:
        """out = centroids once every class that is not ignored has status 1, and passes[0] >= least; zeros before.

        passes (1,): uint64.
        """
        ready = status != 0 if ignored is None else (status != 0) | (ignored != 0)
        np.multiply(centroids, ready.all() and passes[0] >= least, out=out)

    def nearest_accuracy(self, distances: Array, labels: Array, accuracy: Array, ignore: tuple[int, ...]) -> None:
        """accuracy[0] = share of items whose smallest distance is that to their label's class.

        Ties go to the lowest class; distances of FLT_MAX and NaN never win; items whose label is in `ignore` do not
        count, and without any item the accuracy is 0.
        """
        usable = np.where(distances < NEVER, distances, np.inf)
        nearest = np.where(np.isfinite(usable.min(axis=1)), usable.argmin(axis=1), -1)
        truth = labels[:, 0]
        counts = ~np.isin(truth, ignore)
        accuracy[0] = ((nearest == truth) & counts).sum() / max(1, int(counts.sum()))

    def cache_encodings(self, x: Array, labels: Array, cache: Array, counts: Array) -> None:
        """Write each item into slot (class, n mod M) of cache (L, M, D), n = items of its class before it; counts grow.

        Where a batch holds more than M items of a class, the newest M stay.
        """
        slots = cache.shape[1]
        index = labels[:, 0].astype(np.intp)
        member = index[None, :] == np.arange(len(cache))[:, None]
        rank = (np.cumsum(member, axis=1) - 1)[index, np.arange(len(index))]
        arrived = member.sum(axis=1)
        slot = (counts[index].astype(np.int64) + rank) % slots
        newest = rank >= arrived[index] - slots
        cache[index[newest], slot[newest]] = x[newest]
        counts += arrived.astype(counts.dtype)

    def nearest_cached_distances(
        self, x: Array, cache: Array, counts: Array, distances: Array, ignored: Array | None, k: int
    ) -> None:
        """distances (N, L) = mean of the k smallest squared distances to the filled slots of each class.

        All zeros until every class that is not ignored has k filled slots; FLT_MAX for ignored classes.
        """
        filled = np.minimum(counts, cache.shape[1])
        ready = filled >= k if ignored is None else (filled >= k) | (ignored != 0)
        if not ready.all():
            distances[...] = 0
            return
        for label in range(len(cache)):
            stored = cache[label, : int(filled[label])]
            if len(stored) < k:
                continue
            all_distances = np.empty((len(x), len(stored)), distances.dtype)
            squared_distances(x, stored, all_distances)
            distances[:, label] = np.partition(all_distances, k - 1, axis=1)[:, :k].mean(axis=1)
        if ignored is not None:
            np.copyto(distances, NEVER, where=ignored != 0)
