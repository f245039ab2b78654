"""`netforge enroll`: teach a trained net another class by a few images, without training."""

from __future__ import annotations

import click

from netforge.cli.options import CaffeCommand, output_options
from netforge.cli.predict import note_sizes
from netforge.cli.recognition import NetOptions, note, open_embedder, trained_net_options
from netforge.errors import counted


@click.command(cls=CaffeCommand)
@click.argument("images", nargs=-1, metavar="IMAGE...")
@trained_net_options
@click.option("--name", required=True, metavar="CLASS", help="Name of the class.")
@click.option("--replace", is_flag=True, help="Begin the class anew; by default images are added to it.")
@click.option("--remove", is_flag=True, help="Forget the class.")
@output_options
def enroll(
    images: tuple[str, ...],
    trained: NetOptions,
    name: str,
    replace: bool,
    remove: bool,
) -> None:
    """Add a class by the mean embedding of one or a few image files; `netforge predict` knows it from then on.

    It is kept in FILE.recognition.json beside the weights.
    """
    from netforge.recognition import Recognizer, record_path

    if bool(images) == remove:
        raise click.UsageError("Give the images of the class." if not images else "--remove takes no images.")
    with open_embedder(trained) as embedder:
        recognizer = Recognizer(embedder)
        if remove:
            recognizer.forget(name)
            click.echo(f'class "{name}" is forgotten')
            return
        note_sizes(images, embedder.form)
        added = recognizer.enroll(name, images, replace_it=replace)
        click.echo(f'class "{name}": {counted(added.count, "image")}, kept in {record_path(embedder.weights)}')
        if recognizer.record.threshold is None:
            note("There is no threshold for unknown images yet: netforge calibrate finds one.")
