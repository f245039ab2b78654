"""`netforge data import sklearn`: data sets of images that come with scikit-learn."""

from __future__ import annotations

import click

from netforge.cli.data_options import Making, making_options, testing_options


@click.command("sklearn", short_help="Import the digits of scikit-learn, with a split of your own.")
@click.argument("dataset")
@click.option("--name", required=True, help="Name of the source, or with --testing the part before .training.")
@testing_options
@making_options
def import_sklearn(dataset: str, name: str, testing: float | None, seed: int, making: Making) -> None:
    """Import DATASET, which is "digits": 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn.

    The sources digits.training and digits.testing need no import; this one is for other splits of the same images. Sets
    that scikit-learn downloads, such as the Olivetti faces, come in through Python: netforge.data.import_arrays.

    Example:

    \b
      netforge data import sklearn digits --name digits.20 --testing 0.2 --seed 1
    """
    from netforge.data import import_sklearn as import_set

    done = making.run(import_set, dataset, name=name, testing=testing or 0.0, seed=seed)
    making.report(done)
