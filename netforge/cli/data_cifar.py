"""`netforge data import cifar10` and `cifar100`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from netforge.cli.data_options import making_options, report
from netforge.cli.screen import image_bar


@click.command("cifar10", short_help="Import CIFAR-10 in its binary form.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", default="CIFAR-10", show_default=True, help="Makes the sources NAME.training and NAME.testing.")
@click.option("--training", metavar="FILE", multiple=True, help="A file in PATH with training images, or a pattern.")
@click.option("--testing", metavar="FILE", multiple=True, help="A file in PATH with testing images, or a pattern.")
@making_options
def import_cifar10(
    path: Path,
    name: str,
    training: tuple[str, ...],
    testing: tuple[str, ...],
    replace: bool,
    dry_run: bool,
    database: Path | None,
) -> None:
    """Import CIFAR-10 in its binary form.

    PATH is the archive cifar-10-binary.tar.gz, or a folder with data_batch_1.bin ... and test_batch.bin, plain or
    gzipped. Some of the files suffice; --training and --testing, which may be repeated, choose among them.

    Examples:

    \b
      netforge data import cifar10 cifar-10-binary.tar.gz
      netforge data import cifar10 cifar-10-batches-bin --name small \\
          --training data_batch_1.bin
    """
    from netforge.data import ImageDatabase
    from netforge.data import import_cifar10 as import_files

    with ImageDatabase(database) as images, image_bar() as advance:
        done = import_files(
            images,
            path,
            name=name,
            training=training,
            testing=testing,
            replace=replace,
            dry_run=dry_run,
            progress=advance,
        )
    report(done, dry_run=dry_run)


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
def import_cifar100(
    path: Path, name: str, labels: Literal["fine", "coarse"], replace: bool, dry_run: bool, database: Path | None
) -> None:
    """Import CIFAR-100 in its binary form.

    PATH is the archive cifar-100-binary.tar.gz, or a folder with train.bin and test.bin, plain or gzipped.
    """
    from netforge.data import ImageDatabase
    from netforge.data import import_cifar100 as import_files

    with ImageDatabase(database) as images, image_bar() as advance:
        done = import_files(images, path, name=name, labels=labels, replace=replace, dry_run=dry_run, progress=advance)
    report(done, dry_run=dry_run)
