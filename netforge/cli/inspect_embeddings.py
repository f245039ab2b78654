"""`netforge inspect embeddings`: a map of embeddings, and how well classes stand apart on it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netforge.cli.inspect_options import Targets, target_options, write_html, write_png
from netforge.cli.options import CaffeCommand, output_options
from netforge.cli.recognition import NetOptions, open_embedder, open_sources, optional_net_options, print_pairs
from netforge.cli.screen import image_bar
from netforge.errors import counted

if TYPE_CHECKING:
    from netforge.inspect.embeddings import Embeddings


@click.command("embeddings", cls=CaffeCommand)
@click.argument("state", required=False, metavar="[STATE]")
@optional_net_options
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="SOURCE",
    help="Labelled images to embed; beside STATE, whose names of classes are meant. May be repeated.",
)
@click.option("--labels", metavar="LABELS", help='Only images of --source with these labels: "0-7", "0-4,9".')
@click.option("--debug-layer", metavar="NAME", help="STATE: the Debug layer; by default the first one.")
@click.option(
    "--limit",
    type=click.IntRange(min=2),
    metavar="N",
    default=2000,
    show_default=True,
    help="At most so many items: the newest of STATE, images drawn at random.",
)
@click.option(
    "--method",
    type=click.Choice(["tsne", "pca", "none"]),
    help="How the map is made; none: embeddings have two dimensions already, and then it is the default.",
)
@click.option("--perplexity", type=float, metavar="X", default=30.0, show_default=True, help="t-SNE: neighbours.")
@click.option("--iterations", type=int, metavar="N", default=1000, show_default=True, help="t-SNE: steps.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), metavar="N", default=0, help="Of everything random.")
@click.option("--thumbnails", is_flag=True, help="--png: show the images themselves in place of points.")
@target_options
@output_options
def embeddings(
    state: str | None,
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

    STATE is a .solverstate: it keeps the newest embeddings that a Debug layer saw in training. Or give --model,
    --weights and --source, and any blob of the net with --layer. The page zooms, hides classes and shows the image
    under the pointer.
    """
    from netforge.inspect.embedding_map import draw_map, make_map
    from netforge.inspect.embedding_page import embedding_page

    found = gather(state, trained, sources, labels, debug_layer, limit, seed)
    chosen = method or ("none" if found.vectors.shape[1] == 2 else "tsne")
    shown = make_map(found, chosen, perplexity=perplexity, iterations=iterations, seed=seed)
    about = ("embeddings", f"{found.name}: {counted(len(found.vectors), 'item')} of {found.vectors.shape[1]} numbers")
    print_pairs([about, ("map", shown.method), *shown.rows()])
    stem = re.sub(r"\.(solverstate(\.h5)?|npz)$", "", state) if state else "net"
    targets = targets.or_default(f"{stem}.embeddings")
    write_html(targets.html, lambda: embedding_page(shown))
    write_png(targets.png, lambda: draw_map(shown, thumbnails=thumbnails))


def gather(
    state: str | None,
    trained: NetOptions | None,
    sources: tuple[str, ...],
    labels: str | None,
    debug_layer: str | None,
    limit: int,
    seed: int,
) -> Embeddings:
    """The embeddings that the options name: stored ones, or those of images."""
    from dataclasses import replace

    from netforge.inspect.embeddings import computed_embeddings, stored_embeddings
    from netforge.recognition import ImageSet, choose_images

    if state is not None:
        if trained is not None or labels is not None:
            raise click.UsageError("STATE holds embeddings already: leave out --model, --weights and --labels.")
        found = stored_embeddings(Path(state), layer=debug_layer, most=limit)
        return replace(found, class_names=ImageSet(open_sources(sources)).class_names) if sources else found
    if trained is None or not sources or debug_layer is not None:
        raise click.UsageError(
            "give a .solverstate, or --model, --weights and --source. For example: "
            "netforge inspect embeddings runs/siamese_digits/siamese_digits_iter_1000.solverstate"
        )
    with open_embedder(trained) as embedder:
        images = choose_images(open_sources(sources), labels=labels)
        if images.count > limit:
            images = choose_images([images], count=limit, seed=seed)
        with image_bar(images.count) as progress:
            return computed_embeddings(embedder, images, progress=progress)
