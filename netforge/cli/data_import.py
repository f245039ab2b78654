"""`netforge data import`: bring data sets into the image database."""

from __future__ import annotations

from pathlib import Path

import click

from netforge.cli.data_options import Making, labels_option, making_options, mean_option, size_option


@click.group("import")
def import_group() -> None:
    """Bring a data set into the image database.

    What one command makes appears at once or, after an error, not at all.
    """


@import_group.command("mnist", short_help="Import the IDX files of MNIST, USPS, Fashion-MNIST.")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", default="MNIST", show_default=True, help="Makes the sources NAME.training and NAME.testing.")
@click.option(
    "--channels",
    type=click.Choice(["1", "3"]),
    default="1",
    show_default=True,
    help="3 repeats the grey image in three channels.",
)
@making_options
def import_mnist(folder: Path, name: str, channels: str, making: Making) -> None:
    """Import the four IDX files of MNIST, USPS, Fashion-MNIST and the like.

    FOLDER holds train-images-idx3-ubyte, train-labels-idx1-ubyte and the two t10k- files, plain or gzipped.
    """
    from netforge.data import import_mnist as import_files

    done = making.run(import_files, folder, name=name, channels=int(channels))
    making.report(done)


@import_group.command("npz", short_help="Import arrays that NumPy saved.")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="Name of the source.")
@click.option(
    "--image-array", metavar="ARRAY", required=True, help="The images: (n, H, W), (n, H, W, C) or (n, C, H, W)."
)
@click.option(
    "--label-array", metavar="ARRAY", required=True, help="Their labels: (n,) whole numbers, kept as they are."
)
@click.option("--group-array", metavar="ARRAY", help="What else they share, such as who drew them: (n,) whole numbers.")
@click.option("--class-array", metavar="ARRAY", help="Names of the classes: texts, that of label k in place k.")
@labels_option
@size_option
@click.option(
    "--layout",
    type=click.Choice(["NHWC", "NCHW"]),
    help="Order of four axes, where 1 or 3 channels stand in either place or in none.",
)
@mean_option
@making_options
def import_npz(
    file: Path,
    name: str,
    image_array: str,
    label_array: str,
    group_array: str | None,
    class_array: str | None,
    labels: str | None,
    size: tuple[int, int] | None,
    layout: str | None,
    mean_of: str | None,
    making: Making,
) -> None:
    """Import arrays from FILE, which numpy.savez or numpy.savez_compressed wrote.

    Pixels are bytes, whole numbers 0 to 255, or floats 0 to 1, which are stored as bytes. Nothing is unpickled.

    Example:

    \b
      netforge data import npz faces.npz --name faces.training \\
          --image-array x --label-array y --labels 1-30
    """
    from netforge.data import NpzKeys
    from netforge.data import import_npz as import_arrays

    done = making.run(
        import_arrays,
        file,
        NpzKeys(image_array, label_array, group_array, class_array),
        name=name,
        only_labels=labels,
        size=size,
        layout=layout,
        mean_of=mean_of,
    )
    making.report([done])
