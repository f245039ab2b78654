"""`netforge evaluate`: how good are embeddings of classes that need not have been seen in training?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netforge.cli.options import CaffeCommand, FiniteRange, is_quiet, output_options
from netforge.cli.recognition import (
    NetOptions,
    images_line,
    images_options,
    open_embedder,
    open_sources,
    percent,
    print_pairs,
    trained_net_options,
)
from netforge.cli.screen import image_bar
from netforge.cli.targets import target_option, write_json
from netforge.errors import DataError, counted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from netforge.metric import Roc
    from netforge.recognition import Embedder, ImageSet

RECALL_AT = (1, 5, 10)
RATES = (0.1, 0.01, 0.001)
ROC_POINTS = 400


@dataclass(frozen=True)
class Protocol:
    """The options of all protocols."""

    name: str
    ways: int
    shots: int
    queries: int
    episodes: int
    groups: str
    pairs: int
    threshold: float | None
    seed: int


@dataclass(frozen=True)
class Result:
    """rows: what is printed, name and value. values: the same for --json."""

    rows: list[tuple[str, str]]
    values: dict[str, Any]


@click.command(cls=CaffeCommand)
@trained_net_options
@click.option(
    "--protocol", required=True, type=click.Choice(["verification", "retrieval", "nway"]), help="What is measured."
)
@images_options
@click.option(
    "--ways", type=click.IntRange(2), metavar="N", default=5, show_default=True, help="nway: classes an episode."
)
@click.option(
    "--shots", type=click.IntRange(1), metavar="N", default=1, show_default=True, help="nway: examples a class."
)
@click.option(
    "--queries", type=click.IntRange(1), metavar="N", default=5, show_default=True, help="nway: questions a class."
)
@click.option("--episodes", type=click.IntRange(1), metavar="N", default=400, show_default=True, help="nway: episodes.")
@click.option(
    "--groups",
    type=click.Choice(["stored", "position", "none"]),
    help="nway: keep groups of images (who drew them, say) apart, no group among examples and questions of an episode: "
    "as stored with the source (the default, where they are), or an image's place in its class.",
)
@click.option(
    "--pairs",
    type=click.IntRange(2),
    metavar="N",
    default=2_000_000,
    show_default=True,
    help="verification: at most so many pairs, by chance where there are more.",
)
@click.option("--threshold", type=FiniteRange(0), metavar="X", help="verification: distance up to which two are one.")
@target_option("--json", "json_file", text="Write all numbers as JSON.")
@output_options
def evaluate(
    trained: NetOptions,
    protocol: str,
    sources: tuple[str, ...],
    labels: str | None,
    count: int | None,
    seed: int,
    ways: int,
    shots: int,
    queries: int,
    episodes: int,
    groups: str | None,
    pairs: int,
    threshold: float | None,
    json_file: Path | None,
) -> None:
    """Measure embeddings: of pairs, of neighbours, or in few-shot episodes.

    verification: are two images of one class? Area under the ROC curve, equal error rate, accuracy at the threshold.

    retrieval: are the nearest images of the same class? Recall@1, 5 and 10, R-precision, MAP@R (Musgrave et al. 2020).

    nway: which of N classes is it, given K examples of each? Accuracy with its 95 % confidence interval.
    """
    from netforge.recognition import choose_images

    with open_embedder(trained) as embedder:
        images = choose_images(open_sources(sources), labels=labels, count=count, seed=seed)
        asked = Protocol(protocol, ways, shots, queries, episodes, groups or "", pairs, threshold, seed)
        with image_bar(images.count) as progress:
            embeddings = embedder.embed(images, progress=progress)
        result = MEASURES[protocol](embeddings, images, asked)
        scaled = ", scaled to length 1" if embedder.normalizes else ""
        size = f'"{embedder.embedding}", {counted(embeddings.shape[1], "number")} an image{scaled}'
        about_rows = [("images", images_line(images)), ("embedding", size)]
        print_pairs(result.rows if is_quiet() else [*about_rows, *result.rows])
        about = _facts(trained, asked, embedder, embeddings, images, labels)
        write_json(json_file, lambda: {**about, **result.values}, "all numbers")


def _facts(
    trained: NetOptions,
    asked: Protocol,
    embedder: Embedder,
    embeddings: npt.NDArray[np.float32],
    images: ImageSet,
    labels: str | None,
) -> dict[str, Any]:
    """What was measured, for the file of the result."""
    return {
        "protocol": asked.name,
        **({"run": trained.run} if trained.run else {"model": trained.model}),
        "weights": str(embedder.weights),
        "embedding": embedder.embedding,
        "normalized": embedder.normalizes,
        "dimensions": embeddings.shape[1],
        "source": images.name,
        "labels": labels,
        "images": images.count,
        "classes": len(set(images.labels.tolist())),
        "seed": asked.seed,
    }


def verify(embeddings: npt.NDArray[np.float32], images: ImageSet, asked: Protocol) -> Result:
    """Pairs of one class against pairs of two."""
    from netforge.metric import choose_pairs, pair_distances, verification

    pairs = choose_pairs(images.labels, most=asked.pairs, seed=asked.seed)
    distances = pair_distances(embeddings, pairs.first, pairs.second)
    found = verification(distances, pairs.same, threshold=asked.threshold)
    kind = "all" if pairs.complete else "drawn at random"
    at = {rate: found.roc.true_accepts_at(rate) for rate in RATES}
    chosen = "given" if asked.threshold is not None else "the best for these pairs"
    rows = [
        ("pairs", f"{found.same:,} of one class, {found.different:,} of two ({kind})"),
        ("AUC", f"{found.roc.auc:.4f}"),
        ("EER", f"{percent(found.roc.eer)} at distance {found.roc.eer_threshold:.4g}"),
        ("accuracy", f"{percent(found.accuracy)} at distance {found.threshold:.4g} ({chosen})"),
        *((f"found at FAR {rate:g}", percent(share)) for rate, share in at.items()),
    ]
    values = {
        "pairs_same": found.same,
        "pairs_different": found.different,
        "pairs_complete": pairs.complete,
        "auc": found.roc.auc,
        "eer": found.roc.eer,
        "eer_threshold": found.roc.eer_threshold,
        "accuracy": found.accuracy,
        "threshold": found.threshold,
        "true_accepts_at_far": {f"{rate:g}": share for rate, share in at.items()},
        "roc": curve_points(found.roc),
    }
    return Result(rows, values)


def curve_points(curve: Roc) -> dict[str, list[float]]:
    """Some hundred points of a curve from end to end, for --json."""
    import numpy as np

    chosen = np.unique(np.linspace(1, len(curve.thresholds) - 1, ROC_POINTS).round().astype(int))
    return {
        "threshold": curve.thresholds[chosen].tolist(),
        "true_accepts": curve.true_accepts[chosen].tolist(),
        "false_accepts": curve.false_accepts[chosen].tolist(),
    }


def retrieve(embeddings: npt.NDArray[np.float32], images: ImageSet, asked: Protocol) -> Result:
    """Every image asks for the others of its class."""
    from netforge.metric import retrieval

    found = retrieval(embeddings, images.labels, at=RECALL_AT)
    alone = f" ({counted(found.alone, 'image')} alone in a class left out)" if found.alone else ""
    rows = [
        ("queries", f"{found.queries:,}{alone}"),
        *((f"recall@{k}", percent(share)) for k, share in found.recall.items()),
        ("R-precision", percent(found.r_precision)),
        ("MAP@R", percent(found.map_at_r)),
    ]
    values = {
        "queries": found.queries,
        "alone": found.alone,
        "recall": {str(k): share for k, share in found.recall.items()},
        "r_precision": found.r_precision,
        "map_at_r": found.map_at_r,
    }
    return Result(rows, values)


def few_shot(embeddings: npt.NDArray[np.float32], images: ImageSet, asked: Protocol) -> Result:
    """N-way K-shot episodes."""
    from netforge.metric import nway_kshot

    kind, groups = groups_of(images, asked.groups)
    found = nway_kshot(
        embeddings,
        images.labels,
        ways=asked.ways,
        shots=asked.shots,
        queries=asked.queries,
        episodes=asked.episodes,
        seed=asked.seed,
        groups=groups,
    )
    apart = "not kept apart" if groups is None else f"kept apart ({kind}, {len(set(groups.tolist()))} of them)"
    rows = [
        (
            "episodes",
            f"{asked.episodes:,} of {asked.ways} ways, {counted(asked.shots, 'shot')}, "
            f"{counted(asked.queries, 'query', 'queries')} a class, seed {asked.seed}",
        ),
        ("groups", apart),
        ("accuracy", f"{percent(found.accuracy)} +- {percent(found.interval)} (95 % confidence)"),
    ]
    values = {
        "ways": asked.ways,
        "shots": asked.shots,
        "queries": asked.queries,
        "episodes": asked.episodes,
        "groups": kind,
        "accuracy": found.accuracy,
        "interval_95": found.interval,
    }
    return Result(rows, values)


def groups_of(images: ImageSet, asked: str) -> tuple[str, npt.NDArray[np.int64] | None]:
    """The kind of groups that episodes keep apart, and the group of each image."""
    from netforge.data.sampling import ClassIndex

    if asked == "none" or (not asked and images.groups is None):
        return "none", None
    if asked == "position":
        return asked, ClassIndex(images.labels).rank
    if images.groups is None:
        raise DataError(
            "no groups are stored with its images", where=images.name, mend="use --groups position, or none"
        )
    return "stored", images.groups


MEASURES = {"verification": verify, "retrieval": retrieve, "nway": few_shot}
