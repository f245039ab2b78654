"""Using a trained net: embeddings of images, their classes, unknown images, and classes enrolled after training."""

from __future__ import annotations

from netforge.data.sources.image_set import ImageSet, choose_images
from netforge.recognition.answers import UNKNOWN_NAME, Answers, KnownClass
from netforge.recognition.auto_labels import auto_labels, confidences
from netforge.recognition.blends import Blends
from netforge.recognition.embedder import Embedder
from netforge.recognition.images import Images, StoredForm
from netforge.recognition.loading import load
from netforge.recognition.outcome import Outcome, recognize_labelled
from netforge.recognition.recognizer import Recognizer
from netforge.recognition.record import Record, StoredClass, Threshold, read_record, record_path, write_record

__all__ = [
    "UNKNOWN_NAME",
    "Answers",
    "Blends",
    "Embedder",
    "ImageSet",
    "Images",
    "KnownClass",
    "Outcome",
    "Recognizer",
    "Record",
    "StoredClass",
    "StoredForm",
    "Threshold",
    "auto_labels",
    "choose_images",
    "confidences",
    "load",
    "read_record",
    "recognize_labelled",
    "record_path",
    "write_record",
]
