"""`netforge data`: import, copy, list and look at image data."""

from __future__ import annotations

from pathlib import Path

import click

from netforge.cli.data_cifar import import_cifar10, import_cifar100
from netforge.cli.data_clean import clean, remove
from netforge.cli.data_copy import copy
from netforge.cli.data_export import export
from netforge.cli.data_images import import_images
from netforge.cli.data_import import import_group
from netforge.cli.data_labels import COMMANDS as LABEL_COMMANDS
from netforge.cli.data_lmdb import import_lmdb
from netforge.cli.data_options import database_option
from netforge.cli.data_show import show
from netforge.cli.data_sklearn import import_sklearn
from netforge.cli.data_stats import stats
from netforge.cli.data_verify import verify
from netforge.cli.data_voc import import_voc0712


@click.group()
def data() -> None:
    """Import, copy, list, look at and correct image data.

    Sources of the image database are what `backend: IMAGEDB` reads: a Data layer names one in `source`.
    """


import_group.add_command(import_cifar10)
import_group.add_command(import_cifar100)
import_group.add_command(import_images)
import_group.add_command(import_voc0712)
import_group.add_command(import_lmdb)
import_group.add_command(import_sklearn)
data.add_command(import_group)
data.add_command(copy)
data.add_command(show)
data.add_command(stats)
for label_command in LABEL_COMMANDS:
    data.add_command(label_command)
data.add_command(verify)
data.add_command(clean)
data.add_command(remove)
data.add_command(export)


@data.command("list")
@database_option
def list_sources(database: Path | None) -> None:
    """List the sources of the image database."""
    from netforge.cli.screen import shape_text, show_rows
    from netforge.data import ImageDatabase
    from netforge.data.store.builtin import BUILTIN_NAMES

    headings = ("source", "images", "shape", "classes", "imported")
    with ImageDatabase(database) as images:
        infos = images.sources()
        rows = [
            (i.name, f"{i.count:,}", shape_text(i.shape), str(len(images.class_names(i)) or "-"), i.created[:10])
            for i in infos
        ]
    present = {info.name for info in infos}
    rows += [(name, "-", "-", "-", "at first use") for name in BUILTIN_NAMES if name not in present]
    show_rows(headings, rows, right=(1, 3))
