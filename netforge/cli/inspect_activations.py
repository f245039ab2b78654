"""`netforge inspect activations`: what every layer makes of one image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netforge.cli.options import CaffeCommand, output_options
from netforge.cli.recognition import NetOptions, open_embedder, open_sources, trained_net_options
from netforge.cli.targets import Targets, target_options, write_html, write_png

if TYPE_CHECKING:
    from netforge.recognition import Embedder


@click.command("activations", cls=CaffeCommand)
@click.argument("image", required=False, metavar="[IMAGE]")
@trained_net_options
@click.option("--source", metavar="SOURCE", help="Take an image of this source.")
@click.option("--index", type=click.IntRange(min=0), metavar="N", default=0, help="--source: which image, from 0.")
@target_options
@output_options
def activations(image: str | None, trained: NetOptions, source: str | None, index: int, targets: Targets) -> None:
    """Show what every layer makes of one image: maps as tiles, vectors as bars.

    IMAGE is a file; or name a source and the number of an image in it. --layer shows one layer or blob.
    """
    from netforge.inspect.activations import activations as run
    from netforge.inspect.activations import activations_page
    from netforge.inspect.pictures import captioned

    if (image is None) == (source is None):
        raise click.UsageError("give the file of an image, or --source and --index.")
    targets = targets.or_default(f"{Path(image).stem if image else f'{source}.{index}'}.activations")
    with open_embedder(trained) as embedder:
        pixels, words = read_image(embedder, image, source, index)
        shown = run(embedder, pixels)
        name = embedder.net.name or "the net"
    shown = [one for one in shown if trained.layer in (None, one.layer, one.blob)]
    write_html(targets.html, lambda: activations_page(shown, name, words))
    write_png(targets.png, lambda: captioned([(one.caption, one.picture) for one in shown], f"{name}: {words}"))


def read_image(embedder: Embedder, image: str | None, source: str | None, index: int) -> tuple[Any, str]:
    """The pixels (C, H, W) of the image that is meant, as the net wants them stored, and its name."""
    from netforge.errors import DataError
    from netforge.recognition import ImageSet

    if image is not None:
        return next(embedder.form.batches(image, 1))[0], Path(image).name
    opened = ImageSet(open_sources([str(source)]))
    if index >= opened.count:
        raise DataError(f"there is no image {index}, the last is {opened.count - 1}", where=opened.name)
    import numpy as np

    one = opened[np.array([index])]
    label = one.class_name(int(one.labels[0]))
    return next(embedder.form.batches(one, 1))[0], f'image {index} of {opened.name}, class "{label}"'
