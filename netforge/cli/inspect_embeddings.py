"""`netforge inspect embeddings`: a map of embeddings, and how well classes stand apart on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netforge.cli.data_options import labels_option
from netforge.cli.options import CaffeCommand, output_options, seed_option
from netforge.cli.recognition import NetOptions, open_embedder, open_sources, optional_net_options, print_pairs
from netforge.cli.screen import image_bar
from netforge.cli.targets import Targets, target_options, write_html, write_png
from netforge.errors import counted

if TYPE_CHECKING:
    from netforge.inspect.embeddings import Embeddings


@click.command("embeddings", cls=CaffeCommand)
@click.argument("run", required=False, metavar="[RUN]")
@optional_net_options
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="SOURCE",
    help="Labelled images to embed; beside RUN, whose names of classes are meant. May be repeated.",
)
@labels_option
@click.option("--debug-layer", metavar="NAME", help="RUN: the Debug layer; by default the first one.")
@click.option(
    "--limit",
    type=click.IntRange(min=2),
    metavar="N",
    default=2000,
    show_default=True,
    help="At most so many items: the newest of RUN, images drawn at random.",
)
@click.option(
    "--method",
    type=click.Choice(["tsne", "pca", "none"]),
    help="How the map is made; none: embeddings have two dimensions already, and then it is the default.",
)
@click.option("--perplexity", type=float, metavar="X", default=30.0, show_default=True, help="t-SNE: neighbours.")
@click.option("--iterations", type=int, metavar="N", default=1000, show_default=True, help="t-SNE: steps.")
@seed_option("Seed of everything drawn at random.", most=2**32 - 1)
@click.option("--thumbnails", is_flag=True, help="--png: show the images themselves in place of points.")
@target_options
@output_options
def embeddings(
    run: str | None,
    trained: NetOptions | None,
    sources: tuple[str, ...],
    labels: str | None,
    debug_layer: str | None,
    limit: int,
    method: str | None,
    perplexity: float,
    iterations: int,
    seed: int,
    thumbnails: bool,
    targets: Targets,
) -> None:
    """Show embeddings on a map, and measure how well classes stand apart.

    RUN is a run (its folder, its log or the prefix of its snapshots), whose newest state is taken, or a .solverstate:
    it keeps the newest embeddings that a Debug layer saw in training. Or give --model, --weights and --source, and any
    blob of the net with --layer. The page zooms, hides classes and shows the image under the pointer.
    """
    from netforge.inspect.embedding_map import draw_map, make_map
    from netforge.inspect.embedding_page import embedding_page

    state = None if run is None else state_of(run)
    stem = re.sub(r"\.(solverstate(\.h5)?|npz)$", "", str(state)) if state else "net"
    targets = targets.or_default(f"{stem}.embeddings")
    found = gather(state, trained, sources, labels, debug_layer, limit, seed)
    chosen = method or ("none" if found.vectors.shape[1] == 2 else "tsne")
    shown = make_map(found, chosen, perplexity=perplexity, iterations=iterations, seed=seed)
    about = ("embeddings", f"{found.name}: {counted(len(found.vectors), 'item')} of {found.vectors.shape[1]} numbers")
    print_pairs([about, ("map", shown.method), *shown.rows(), *found.rows()])
    write_html(targets.html, lambda: embedding_page(shown))
    write_png(targets.png, lambda: draw_map(shown, thumbnails=thumbnails))


def state_of(run: str) -> Path:
    """The file that holds stored embeddings: `run` itself, or the newest state of a run."""
    from netforge.errors import SnapshotError
    from netforge.inspect.runs import find_run, read_run

    path = Path(run)
    if path.is_file() and re.search(r"\.(solverstate(\.h5)?|npz)$", path.name):
        return path
    log = find_run(path)
    found = read_run(log).newest("state")
    if found is None:
        raise SnapshotError("no state that it has written is there", where=str(log), mend="give a .solverstate")
    return found


def gather(
    state: Path | None,
    trained: NetOptions | None,
    sources: tuple[str, ...],
    labels: str | None,
    debug_layer: str | None,
    limit: int,
    seed: int,
) -> Embeddings:
    """The embeddings that the options name: stored ones, or those of images."""
    from dataclasses import replace

    from netforge.inspect.embeddings import computed_embeddings
    from netforge.recognition import ImageSet, choose_images

    if state is not None:
        if trained is not None or labels is not None:
            raise click.UsageError("RUN holds embeddings already: leave out --model, --weights and --labels.")
        found = stored_of(state, debug_layer, limit)
        return replace(found, class_names=ImageSet(open_sources(sources)).class_names) if sources else found
    if trained is None or not sources or debug_layer is not None:
        raise click.UsageError(
            "give a run, or --model, --weights and --source. For example: "
            "netforge inspect embeddings runs/siamese_digits"
        )
    with open_embedder(trained) as embedder:
        images = choose_images(open_sources(sources), labels=labels)
        if images.count > limit:
            images = choose_images([images], count=limit, seed=seed)
        with image_bar(images.count) as progress:
            return computed_embeddings(embedder, images, progress=progress)


def stored_of(state: Path, layer: str | None, most: int) -> Embeddings:
    """The embeddings in a state, with their images where the log of the run is there."""
    from dataclasses import replace

    from netforge.errors import DataError
    from netforge.inspect.embeddings import stored_embeddings
    from netforge.inspect.report_model import Model
    from netforge.inspect.runs import run_behind

    if state.suffix == ".npz":
        return stored_embeddings(state, most=most)
    try:
        run = run_behind(state)
    except DataError as error:
        return replace(stored_embeddings(state, layer=layer, most=most), unknown=str(error))
    with Model(run) as model:
        return stored_embeddings(state, layer=layer, most=most, net_of=model.net_of)
