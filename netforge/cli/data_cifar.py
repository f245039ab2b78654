"""`netforge data import cifar10` and `cifar100`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from netforge.cli.data_options import Making, making_options


@click.command("cifar10", short_help="Import CIFAR-10 in its binary form.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", default="CIFAR-10", show_default=True, help="Makes the sources NAME.training and NAME.testing.")
@click.option(
    "--training-file", metavar="FILE", multiple=True, help="A file in PATH with training images, or a pattern."
)
@click.option("--testing-file", metavar="FILE", multiple=True, help="A file in PATH with testing images, or a pattern.")
@making_options
def import_cifar10(
    path: Path,
    name: str,
    training_file: tuple[str, ...],
    testing_file: tuple[str, ...],
    making: Making,
) -> None:
    """Import CIFAR-10 in its binary form.

    PATH is the archive cifar-10-binary.tar.gz, or a folder with data_batch_1.bin ... and test_batch.bin, plain or
    gzipped. Some of the files suffice; --training-file and --testing-file, which may be repeated, choose among them.

    Examples:

    \b
      netforge data import cifar10 cifar-10-binary.tar.gz
      netforge data import cifar10 cifar-10-batches-bin --name small \\
          --training-file data_batch_1.bin
    """
    from netforge.data import import_cifar10 as import_files

    done = making.run(import_files, path, name=name, training=training_file, testing=testing_file)
    making.report(done)


@click.command("cifar100", short_help="Import CIFAR-100 in its binary form.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--name", default="CIFAR-100", show_default=True, help="Makes the sources NAME.training and NAME.testing."
)
@click.option(
    "--label-kind",
    "labels",
    type=click.Choice(["fine", "coarse"]),
    default="fine",
    show_default=True,
    help="fine: 100 classes. coarse: 20 families of five. The other one becomes the group of an image.",
)
@making_options
def import_cifar100(path: Path, name: str, labels: Literal["fine", "coarse"], making: Making) -> None:
    """Import CIFAR-100 in its binary form.

    PATH is the archive cifar-100-binary.tar.gz, or a folder with train.bin and test.bin, plain or gzipped.
    """
    from netforge.data import import_cifar100 as import_files

    done = making.run(import_files, path, name=name, labels=labels)
    making.report(done)
