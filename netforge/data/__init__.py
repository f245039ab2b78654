"""Data: the image database, other sources of images, and how batches are drawn from them and made into input."""

from netforge.data.care.clean import clean_database, remove_sources
from netforge.data.care.copying import AutoLabels, copy_images
from netforge.data.care.export import export_images
from netforge.data.care.verify import verify_images
from netforge.data.formats.picture import PictureForm
from netforge.data.importers.arrays import import_arrays, import_sklearn
from netforge.data.importers.cifar import import_cifar10, import_cifar100
from netforge.data.importers.lists import Columns
from netforge.data.importers.lmdb import LmdbForm, LmdbImport, import_lmdb
from netforge.data.importers.mnist import import_mnist
from netforge.data.importers.npz import NpzKeys, import_npz
from netforge.data.importers.pictures import PictureImport, import_images
from netforge.data.importers.voc import import_voc0712
from netforge.data.labels.edits import Labels
from netforge.data.source import ArraySource, Source
from netforge.data.sources.in_memory import sources_in_memory
from netforge.data.sources.opening import BACKENDS, open_images, open_source
from netforge.data.store.boxes import Boxes
from netforge.data.store.database import ImageDatabase, SourceInfo

__all__ = [
    "BACKENDS",
    "ArraySource",
    "AutoLabels",
    "Boxes",
    "Columns",
    "ImageDatabase",
    "Labels",
    "LmdbForm",
    "LmdbImport",
    "NpzKeys",
    "PictureForm",
    "PictureImport",
    "Source",
    "SourceInfo",
    "clean_database",
    "copy_images",
    "export_images",
    "import_arrays",
    "import_cifar10",
    "import_cifar100",
    "import_images",
    "import_lmdb",
    "import_mnist",
    "import_npz",
    "import_sklearn",
    "import_voc0712",
    "open_images",
    "open_source",
    "remove_sources",
    "sources_in_memory",
    "verify_images",
]
