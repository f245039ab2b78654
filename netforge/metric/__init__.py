"""Measures of embeddings on plain arrays: classes, unknown classes, verification, retrieval, few-shot episodes.

All distances are squared Euclidean ones, as Decode gives them. Whatever grows with the square of the number of images
is computed in blocks.
"""

from __future__ import annotations

from netforge.metric.classify import Centroids, centroids, knn_predict, nearest_centroid
from netforge.metric.clusters import Clusters, clusters
from netforge.metric.curves import Roc, roc
from netforge.metric.distances import distance_blocks, squared_distances
from netforge.metric.episodes import Episodes, nway_kshot
from netforge.metric.pairs import Pairs, Verification, choose_pairs, pair_distances, verification
from netforge.metric.ranking import Retrieval, retrieval
from netforge.metric.tables import UNKNOWN, Confusion, Mixup, confusion
from netforge.metric.unknown import Calibration, accepting_threshold, calibrate

__all__ = [
    "UNKNOWN",
    "Calibration",
    "Centroids",
    "Clusters",
    "Confusion",
    "Episodes",
    "Mixup",
    "Pairs",
    "Retrieval",
    "Roc",
    "Verification",
    "accepting_threshold",
    "calibrate",
    "centroids",
    "choose_pairs",
    "clusters",
    "confusion",
    "distance_blocks",
    "knn_predict",
    "nearest_centroid",
    "nway_kshot",
    "pair_distances",
    "retrieval",
    "roc",
    "squared_distances",
    "verification",
]
