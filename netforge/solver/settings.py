"""What a solver file says beyond the update rule: overrides, seed, device and the names of snapshots."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netforge.errors import SettingsError, did_you_mean
from netforge.schema import SolverDefinition, messages
from netforge.schema.fields import copy_field, is_repeated
from netforge.schema.ranges import note_of

SEED_BITS = 32  # of a seed drawn here: short enough to be written down


def override(definition: SolverDefinition, overrides: Mapping[str, Any]) -> SolverDefinition:
    """The definition with some fields of SolverParameter replaced: override(d, {"max_iter": 100, "stepvalue": [5, 9]}).

    Raises SettingsError where there is no such field, or where the value is not of its type.
    """
    if not overrides:
        return definition
    message = messages.SolverParameter()
    message.CopyFrom(definition.message)
    known = message.DESCRIPTOR.fields_by_name
    for name, value in overrides.items():
        if name not in known:
            raise SettingsError(f'SolverParameter has no field "{name}"', mend=did_you_mean(name, known))
        try:
            _set_field(message, known[name], value)
            _check_range(message, known[name])
        except (TypeError, ValueError, AttributeError) as error:
            raise SettingsError(f"{name} cannot be {value!r}: {error}", where="solver settings") from None
    return dataclasses.replace(definition, message=message)


def _set_field(message: Any, field: Any, value: Any) -> None:
    message.ClearField(field.name)
    if field.enum_type is not None and isinstance(value, str):
        if value not in field.enum_type.values_by_name:
            raise ValueError("known are " + ", ".join(field.enum_type.values_by_name))
        value = field.enum_type.values_by_name[value].number
    copy_field(message, field.name, value)


def _check_range(message: Any, field: Any) -> None:
    interval = note_of(field.full_name).range
    value = getattr(message, field.name)
    for number in value if is_repeated(field) else [value]:
        if interval is not None and number not in interval:
            raise ValueError(f"it must be {interval.words}")


def choose_seed(settings: Any) -> int:
    """random_seed, or a fresh one from the operating system where that is -1."""
    return int(settings.random_seed) if settings.random_seed >= 0 else secrets.randbits(SEED_BITS)


def device_name(settings: Any) -> str:
    """The device that the file asks for: "cpu" with solver_mode: CPU, else the best there is."""
    return "cpu" if settings.solver_mode == messages.SolverParameter.CPU else "auto"


def weight_files(definition: SolverDefinition) -> list[str]:
    """The files of `weights`, each of which may be a list with commas."""
    return [name.strip() for entry in definition.message.weights for name in entry.split(",") if name.strip()]


def snapshot_prefix(definition: SolverDefinition) -> Path:
    """Folder and beginning of the names of snapshots, by Caffe's rules.

    Without snapshot_prefix it is the solver file's path without its ending; a folder gets the solver file's name inside
    it. Raises SettingsError where there is neither a prefix nor a file.
    """
    given = definition.message.snapshot_prefix
    own = Path(definition.source).with_suffix("") if definition.folder is not None else None
    if given and not (given.endswith(("/", "\\")) or Path(given).is_dir()):
        return Path(given)
    if own is None:
        raise SettingsError(
            "snapshots have no name: the solver does not come from a file and snapshot_prefix "
            + ("is a folder" if given else "is not set"),
            where=definition.place,
            mend='set snapshot_prefix to a path such as "runs/mine"',
        )
    return Path(given) / own.name if given else own
