"""A trained net that can be pickled: its text and the bytes of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from netforge.data.source import ArraySource, Pixels, Source
from netforge.recognition import Embedder
from netforge.registry import fold
from netforge.schema import NetDefinition, NetState, parse_net
from netforge.schema.reading import load_plugins
from netforge.solver import Solver

_WEIGHTS = "trained.caffemodel"


@dataclass
class TrainedNet:
    """What embeds images after training, without the images that it was trained on.

    text: the net as prototxt. folder: where paths in it start from. plugins: modules that the solver named, from
    plugin_folder or installed ones. weights: the bytes of a .caffemodel. mean: the mean image (C, H, W). sources: names
    of the sources that its data layers read. level, stages: the state it was trained in. layer, normalize, device: see
    `Embedder`.
    """

    text: str
    folder: Path | None
    plugins: tuple[str, ...]
    plugin_folder: Path | None
    weights: bytes = field(repr=False)
    mean: npt.NDArray[np.float32] = field(repr=False)
    sources: tuple[str, ...]
    level: int
    stages: tuple[str, ...]
    layer: str | None
    normalize: bool | None
    device: str
    _embedder: Embedder | None = field(default=None, init=False, repr=False)

    @classmethod
    def of(
        cls,
        solver: Solver,
        sources: Mapping[str, Source],
        mean: npt.NDArray[np.float32],
        *,
        layer: str | None,
        normalize: bool | None,
        device: str,
    ) -> TrainedNet:
        """The net of a solver, as it is now."""
        definition, state = solver.definition.train_net()
        with TemporaryDirectory() as folder:
            path = Path(folder, _WEIGHTS)
            solver.net.save(path)
            weights = path.read_bytes()
        return cls(
            definition.to_text(),
            _lasting(definition.folder),
            tuple(solver.settings.plugin),
            _lasting(solver.definition.folder),
            weights,
            mean,
            tuple(sources),
            state.level,
            tuple(state.stages),
            layer,
            normalize,
            device,
        )

    def embed(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """The embedding of each image (n, C, H, W), (n, D) float32."""
        if self._embedder is None:
            self._embedder = self._open()
        return self._embedder.embed(pixels)

    def _open(self) -> Embedder:
        """The net itself; the mean image stands for the source that data layers take shape and mean from."""
        load_plugins(self.plugins, self.plugin_folder)
        image = self.mean[None]
        with TemporaryDirectory() as folder:
            path = Path(folder, _WEIGHTS)
            path.write_bytes(self.weights)
            return Embedder(
                parse_net(self.text, "the net that was trained", self.folder),
                path,
                layer=self.layer,
                normalize=self.normalize,
                level=self.level,
                stages=self.stages,
                device=self.device,
                sources={name: ArraySource(name, image, [0], mean=self.mean) for name in self.sources},
            )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_embedder": None}


def _lasting(folder: Path | None) -> Path | None:
    """The folder as it is called from everywhere: whoever unpickles a net may stand somewhere else."""
    return None if folder is None else folder.absolute()


def read_sources(definition: NetDefinition, state: NetState) -> list[str]:
    """The names of the sources that Data layers read, those of the training net first."""
    training = {id(layer.message) for layer in definition.select(state).layers}
    layers = sorted(definition.layers, key=lambda layer: id(layer.message) not in training)
    names = [layer.message.data_param.source for layer in layers if fold(layer.type) == "data"]
    return list(dict.fromkeys(names))
