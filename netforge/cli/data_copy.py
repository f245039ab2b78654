"""`netforge data copy`: sub-sets of sources, what they leave, and several sources as one."""

from __future__ import annotations

from pathlib import Path

import click

from netforge.cli.data_options import making_options, mean_option, report
from netforge.cli.screen import image_bar


@click.command("copy", short_help="Make a source of images of others.")
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.argument("name")
@click.option(
    "--max-per-label", type=click.IntRange(1), metavar="N", help="So many images of each label, drawn by --seed."
)
@click.option("--seed", type=int, metavar="N", default=0, show_default=True, help="Which images --max-per-label draws.")
@click.option("--labels", "only_labels", metavar="LABELS", help='Only images with these labels: "0-7", "0-4,9".')
@click.option("--rest", metavar="REST", help="Make a second source of all images that NAME did not get.")
@mean_option
@making_options
def copy(
    sources: tuple[str, ...],
    name: str,
    max_per_label: int | None,
    seed: int,
    only_labels: str | None,
    rest: str | None,
    mean_of: str | None,
    replace: bool,
    dry_run: bool,
    database: Path | None,
) -> None:
    """Make a source NAME of images of other sources, in their order and with their labels.

    SOURCE is a source of the image database, or the folder of an LMDB; several are taken together.

    Examples:

    \b
      netforge data copy MNIST.training MNIST.30.training --max-per-label 30 --seed 1 --rest MNIST.30.rest
      netforge data copy MNIST.30.rest MNIST.testing MNIST.30.unseen
    """
    from netforge.data import ImageDatabase, copy_images

    with ImageDatabase(database) as images, image_bar() as advance:
        done = copy_images(
            images,
            sources,
            name,
            most_per_label=max_per_label,
            seed=seed,
            only_labels=only_labels,
            rest=rest,
            mean_of=mean_of,
            replace=replace,
            dry_run=dry_run,
            progress=advance,
        )
    report(done, dry_run=dry_run)
