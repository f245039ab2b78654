"""Data: the image database, other sources of images, and how batches are drawn from them and made into input."""

from netforge.data.database import ImageDatabase, SourceInfo
from netforge.data.importers import import_mnist
from netforge.data.opening import BACKENDS, open_source
from netforge.data.source import ArraySource, Source

__all__ = ["BACKENDS", "ArraySource", "ImageDatabase", "Source", "SourceInfo", "import_mnist", "open_source"]
