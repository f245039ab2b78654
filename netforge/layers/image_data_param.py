"""What image_data_param of a layer asks for: the pictures of a list."""

from __future__ import annotations

from pathlib import Path

from netforge.data.sources.lists import ListSource
from netforge.data.transforms.blocks import Fail
from netforge.errors import NetforgeError
from netforge.schema import LayerDefinition, resolve_path


def open_list(definition: LayerDefinition, folder: Path | None, fail: Fail) -> ListSource:
    """The pictures of the list that a layer's image_data_param names; raises what `fail` makes for missing settings."""
    settings = definition.settings("image_data_param")
    if not settings.source:
        mend = 'write source: "LIST" in image_data_param, a file with a path and a label on each line'
        raise fail("no source is given", setting="image_data_param", mend=mend)
    height, width = settings.new_height, settings.new_width
    if bool(height) != bool(width):
        found, missing = ("new_height", "new_width") if height else ("new_width", "new_height")
        raise fail(
            f"{found} is given without {missing}",
            setting=f"image_data_param.{found}",
            mend=f"write {missing} too, or neither",
        )
    try:
        return ListSource(
            resolve_path(settings.source, folder),
            root=settings.root_folder,
            folder=folder,
            channels=3 if settings.is_color else 1,
            size=(height, width) if height else None,
        )
    except NetforgeError as error:
        raise error.at(definition.locate("image_data_param.source")) from error.__cause__
