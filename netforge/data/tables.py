"""The tables of the image database.

Pixels are stored apart from the images' labels, many images in one row: a whole source loads at the speed of the disk,
and a change of labels rewrites no pixels. `stamp` and `label_stamp` are digests of what a source holds; the cache files
beside the database are named after them, so a file in the cache is either right or never looked at.
"""

from __future__ import annotations

APPLICATION_ID = 0x4E46_4442  # "NFDB": tells an image database from any other SQLite file
VERSION = 2

# What takes a database from the version of the key to the next one.
UPGRADES = {1: "ALTER TABLE images ADD COLUMN group_number INTEGER"}

CREATE = """
CREATE TABLE sources (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL UNIQUE,
    channels    INTEGER NOT NULL,
    height      INTEGER NOT NULL,
    width       INTEGER NOT NULL,
    dtype       TEXT NOT NULL CHECK (dtype IN ('uint8', 'float32')),
    color_order TEXT NOT NULL CHECK (color_order IN ('RGB', 'BGR')),
    count       INTEGER NOT NULL,      -- images that are not disabled
    stamp       TEXT NOT NULL,         -- digest of the pixels
    label_stamp TEXT NOT NULL,         -- digest of positions, labels and groups of the images that are not disabled
    created     TEXT NOT NULL          -- UTC, ISO 8601
);
CREATE TABLE classes (
    source INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    label  INTEGER NOT NULL,
    name   TEXT NOT NULL,
    PRIMARY KEY (source, label)
) WITHOUT ROWID;
CREATE TABLE images (
    source         INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    position       INTEGER NOT NULL,            -- 0, 1, ... in the order of the pixels
    original_label INTEGER NOT NULL,            -- as imported, never changed
    label          INTEGER NOT NULL,            -- the label in use
    auto           INTEGER NOT NULL DEFAULT 0,  -- 1: the label in use was given by a net
    boost          INTEGER NOT NULL DEFAULT 0,
    active         INTEGER NOT NULL DEFAULT 1,  -- 0: disabled, no net sees it
    group_number   INTEGER,                     -- what else images have in common: a drawer, a writer, a session
    PRIMARY KEY (source, position)
) WITHOUT ROWID;
CREATE TABLE pixels (
    source INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    first  INTEGER NOT NULL,                    -- position of the first image of this row
    data   BLOB NOT NULL,                       -- whole images, one after the other: C x H x W, little-endian
    PRIMARY KEY (source, first)
);
CREATE TABLE means (
    source INTEGER PRIMARY KEY REFERENCES sources (id) ON DELETE CASCADE,
    data   BLOB NOT NULL                        -- C x H x W, float32, little-endian
);
CREATE TABLE queries (
    source INTEGER NOT NULL REFERENCES sources (id) ON DELETE CASCADE,
    run    TEXT NOT NULL,                       -- which training run drew the images
    label  INTEGER NOT NULL,
    boost  INTEGER NOT NULL DEFAULT 0,
    count  INTEGER NOT NULL,                    -- images of this label that the run has drawn
    PRIMARY KEY (source, run, label, boost)
) WITHOUT ROWID;
"""
