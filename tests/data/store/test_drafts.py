"""Drafts of sources: a rehearsal refuses whatever storing them would refuse."""

from __future__ import annotations

import numpy as np
import pytest

from netforge.data import ImageDatabase
from netforge.data.store.drafts import Draft, store
from netforge.errors import DataError


def draft(name: str, size: int = 4, **fields: object) -> Draft:
    """A draft of three images, one block."""
    wanted = {"labels": np.arange(3), "class_names": {0: "a", 1: "b", 2: "c"}} | fields
    return Draft(name, [np.zeros((3, 1, size, size), np.uint8)], **wanted)


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("drafts", "message"),
    [
        ([draft("a", labels=[1, 2])], 'source "a" has 3 images and 2 labels'),
        ([draft("a", original_labels=[1, 2])], "3 images and 2 original labels"),
        ([draft("a", groups=[1, 2, 3, 4])], "3 images and 4 groups"),
        ([draft("a", auto=[1])], "3 images and 1 auto"),
        ([draft("a", boosts=np.zeros(2, np.int64))], "3 images and 2 boosts"),
        ([draft("a", origins=["x"])], "3 images and 1 origins"),
        ([draft("a.training"), draft("a.testing", 5)], r'has shape \(1, 4, 4\), the images of "a.testing" have \(1, 5'),
    ],
)
def test_a_dry_run_refuses_what_storing_refuses(drafts: list[Draft], message: str, dry_run: bool) -> None:
    with ImageDatabase() as database:
        with pytest.raises(DataError, match=message):
            store(database, drafts, dry_run=dry_run)
        assert database.sources() == []
