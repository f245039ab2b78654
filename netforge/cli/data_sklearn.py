"""`netforge data import sklearn`: data sets of images that come with scikit-learn."""

from __future__ import annotations

from pathlib import Path

import click

from netforge.cli.data_options import making_options, report, testing_options
from netforge.cli.screen import image_bar


@click.command("sklearn", short_help="Import the digits of scikit-learn, with a split of your own.")
@click.argument("dataset")
@click.option("--name", required=True, help="Name of the source, or with --testing the part before .training.")
@testing_options
@making_options
def import_sklearn(
    dataset: str, name: str, testing: float | None, seed: int, replace: bool, dry_run: bool, database: Path | None
) -> None:
    """Import DATASET, which is "digits": 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn.

    The sources digits.training and digits.testing need no import; this one is for other splits of the same images. Sets
    that scikit-learn downloads, such as the Olivetti faces, come in through Python: netforge.data.import_arrays.

    Example:

    \b
      netforge data import sklearn digits --name digits.20 --testing 0.2 --seed 1
    """
    from netforge.data import ImageDatabase
    from netforge.data import import_sklearn as import_set

    with ImageDatabase(database) as images, image_bar() as advance:
        done = import_set(
            images,
            dataset,
            name=name,
            testing=testing or 0.0,
            seed=seed,
            replace=replace,
            dry_run=dry_run,
            progress=advance,
        )
    report(done, dry_run=dry_run)
