"""Data: the image database, other sources of images, and how batches are drawn from them and made into input."""

from netforge.data.array_importer import import_arrays, import_sklearn
from netforge.data.boxes import Boxes
from netforge.data.cifar import import_cifar10, import_cifar100
from netforge.data.clean import clean_database, remove_sources
from netforge.data.copying import AutoLabels, copy_images
from netforge.data.database import ImageDatabase, SourceInfo
from netforge.data.export import export_images
from netforge.data.in_memory import sources_in_memory
from netforge.data.labels import Labels
from netforge.data.lmdb_importer import LmdbForm, LmdbImport, import_lmdb
from netforge.data.mnist_importer import import_mnist
from netforge.data.npz_importer import NpzKeys, import_npz
from netforge.data.opening import BACKENDS, open_images, open_source
from netforge.data.picture import PictureForm
from netforge.data.picture_importer import PictureImport, import_images
from netforge.data.picture_lists import Columns
from netforge.data.source import ArraySource, Source
from netforge.data.verify import verify_images
from netforge.data.voc_importer import import_voc0712

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
