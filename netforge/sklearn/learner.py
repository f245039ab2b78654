"""MetricLearner: a net trained to bring items of one class together, as an estimator of scikit-learn."""

from __future__ import annotations

import dataclasses
import warnings
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import assert_all_finite, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from netforge.data.source import ArraySource
from netforge.metric import centroids, squared_distances
from netforge.schema import SolverDefinition, messages, parse_net, parse_solver, read_solver
from netforge.sklearn.defaults import SOLVER, default_net
from netforge.sklearn.inputs import InputError, as_images, read_x
from netforge.sklearn.trained import TrainedNet, read_sources
from netforge.solver import Display, Listener, Solver

LARGEST_SEED = 1 << 31
DISPLAYS = 100  # values of the loss that are kept
NETS = ("net", "net_param", "train_net", "train_net_param")
NO_TESTS_NO_FILES: dict[str, Any] = {
    "test_net": [],
    "test_net_param": [],
    "test_state": [],
    "test_iter": [],
    "test_interval": 0,
    "snapshot": 0,
    "snapshot_after_train": False,
}


class MetricLearner(ClassNamePrefixFeaturesOutMixin, ClassifierMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Learns an embedding in which items of one class lie together; classifies by the nearest centroid.

    As a transformer it gives embeddings, for a nearest-neighbour classifier, a clustering or a plot behind it; as a
    classifier it says of which training class's mean embedding an item is closest to.

        >>> from sklearn.datasets import load_digits
        >>> from sklearn.model_selection import train_test_split
        >>> digits = load_digits()
        >>> parts = train_test_split(digits.images, digits.target, stratify=digits.target, random_state=0)
        >>> learner = MetricLearner(max_iter=40, random_state=0).fit(parts[0], parts[2])
        >>> learner.transform(parts[1]).shape
        (450, 16)
        >>> bool(learner.score(parts[1], parts[3]) > 0.85)
        True

    X is (n, F) features, or images (n, H, W) or (n, H, W, C): uint8, or other numbers as float32. y: (n,) labels of any
    kind, of two classes or more.

    net: a prototxt that trains an embedding, as a path or as text: its Data layers read X and y, whatever source they
    name, as features (N, F, 1, 1) or images (N, C, H, W) with labels 0 .. L-1. None: the solver's; else one made for
    the data (`default_net`): two hidden layers, or convolutions for images, under the N-pair loss over all pairs of
    batches of P classes x K items (Sohn, NeurIPS 2016). solver: a solver prototxt, as a path or as text; None: Adam for
    1,000 iterations. Its tests and snapshots are left out. n_components: size of the default net's embedding. layer,
    normalize: which blob is the embedding, and whether it is scaled to length 1; None: as the net's loss reads it.
    max_iter: iterations; None: the solver's. standardize: bring each feature to mean 0 and deviation 1; images are
    never changed, as transform_param does that. device: "cpu", "cuda:N" or "auto". random_state: on a CPU equal numbers
    give equal nets, bit for bit; None: the solver's random_seed. verbose: 1 prints the loss.

    classes_: (L,) labels, sorted. centroids_: (L, D) float64, mean embeddings of the classes. trained_: the net and its
    weights (`TrainedNet`). loss_curve_: (m,) the loss at up to a hundred moments of training. n_iter_: iterations.
    n_features_in_: F, or H * W * C. feature_names_in_: where X had names. image_shape_: shape of an image, None for
    features. mean_, scale_: (F,) of features; None where they are not standardized.

    `fit` raises ValueError for bad X and y (InputError where it is netforge that finds it), and a NetforgeError that
    names place and mend for nets and solvers that do not fit; NonFiniteError where training runs away. It warns
    (ConvergenceWarning) of embeddings that collapse.
    """

    def __init__(
        self,
        net: str | Path | None = None,
        solver: str | Path | None = None,
        *,
        n_components: int = 16,
        layer: str | None = None,
        normalize: bool | None = None,
        max_iter: int | None = None,
        standardize: bool = True,
        device: str = "cpu",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.net = net
        self.solver = solver
        self.n_components = n_components
        self.layer = layer
        self.normalize = normalize
        self.max_iter = max_iter
        self.standardize = standardize
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> MetricLearner:
        """Train on X and y; returns self."""
        values = read_x(self, X, reset=True)
        labels = self._encode(y, len(values))
        self.image_shape_ = None if values.ndim == 2 else values.shape[1:]
        self._learn_scale(values)
        pixels = as_images(self._scaled(values))
        mean = pixels.mean(axis=0, dtype=np.float64).astype(np.float32)
        source = ArraySource("X", pixels, labels, class_names=dict(enumerate(map(str, self.classes_))), mean=mean)
        self._train(source, pixels, mean)
        self.centroids_ = centroids(self.trained_.embed(pixels), labels).points
        return self

    def _encode(self, y: Any, count: int) -> npt.NDArray[np.int64]:
        """Labels 0 .. L-1 of y; sets `classes_`."""
        if y is None:
            raise InputError("requires y to be passed, but the target y is None")
        targets = column_or_1d(y, warn=True)
        assert_all_finite(targets, input_name="y")
        check_classification_targets(targets)
        self.classes_, labels = np.unique(targets, return_inverse=True)
        if len(labels) != count:
            check_consistent_length(np.empty(count), targets)
        if len(self.classes_) < 2:
            raise InputError(f"y holds {len(self.classes_)} class, expected two or more", mend="add items of others")
        return labels.astype(np.int64)

    def _learn_scale(self, values: npt.NDArray[Any]) -> None:
        self.mean_ = self.scale_ = None
        if self.standardize and values.ndim == 2:
            self.mean_ = values.mean(axis=0)
            deviation = values.std(axis=0)
            constant = deviation <= np.finfo(np.float64).eps * 8 * np.abs(self.mean_)
            self.scale_ = np.where(constant, 1.0, deviation)

    def _scaled(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return values if self.mean_ is None else (values - self.mean_) / self.scale_

    def _train(self, source: ArraySource, pixels: npt.NDArray[Any], mean: npt.NDArray[np.float32]) -> None:
        definition = self._definition(source, pixels)
        sources = dict.fromkeys(read_sources(*definition.train_net()), source)
        if not sources:
            raise InputError(
                "the net has no Data layer that X and y could be given to",
                where=definition.place,
                mend='write a layer of type "Data" with data_param { source: "training" ... }',
            )
        overrides = dict(NO_TESTS_NO_FILES)
        if self.max_iter is not None:
            if not isinstance(self.max_iter, Integral):
                raise InputError(f"max_iter is {self.max_iter!r}, expected a whole number or None")
            overrides["max_iter"] = self.max_iter
        if self.random_state is not None:
            overrides["random_seed"] = int(check_random_state(self.random_state).randint(LARGEST_SEED))
        iterations = definition.message.max_iter if self.max_iter is None else self.max_iter
        curve = _Curve(verbose=bool(self.verbose))
        overrides["display"] = max(1, int(iterations) // DISPLAYS)
        solver = Solver(definition, device=self.device, listeners=[curve], sources=sources, **overrides)
        try:
            solver.solve()
            self.trained_ = TrainedNet.of(
                solver, sources, mean, layer=self.layer, normalize=self.normalize, device=self.device
            )
            self.n_iter_ = solver.iteration
        finally:
            solver.close()
        self.loss_curve_ = np.array(curve.losses)

    def _definition(self, source: ArraySource, pixels: npt.NDArray[Any]) -> SolverDefinition:
        """The solver, with the net that it is to train."""
        if self.solver is None:
            definition = parse_solver(SOLVER, "the default solver")
        elif is_text(self.solver):
            definition = parse_solver(str(self.solver), "solver")
        else:
            definition = read_solver(self.solver)
        if self.net is None and any(definition.message.HasField(name) for name in NETS):
            return definition
        message: Any = messages.SolverParameter()
        message.CopyFrom(definition.message)
        for name in NETS:
            message.ClearField(name)
        if self.net is not None and not is_text(self.net):
            message.net = str(self.net)
        else:
            text = default_net(source, pixels, self._components()) if self.net is None else str(self.net)
            message.net_param.CopyFrom(parse_net(text, "net").to_message())
            definition = dataclasses.replace(definition, source="net")  # where errors of its layers are said to be
        return dataclasses.replace(definition, message=message)

    def _components(self) -> int:
        if self.n_components < 1:
            raise InputError(f"n_components is {self.n_components}", mend="give 1 or more")
        return int(self.n_components)

    # --- using it ----------------------------------------------------------------------------------------------------

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """The embedding of each item, (n, D) float32."""
        check_is_fitted(self)
        return self.trained_.embed(as_images(self._scaled(read_x(self, X, reset=False))))

    def _distances(self, X: Any) -> npt.NDArray[np.float64]:
        return squared_distances(self.transform(X), self.centroids_)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The label of the nearest centroid, (n,) of `classes_`; a tie goes to the first."""
        nearest = self._distances(X).argmin(axis=1)
        found: npt.NDArray[Any] = self.classes_[nearest]
        return found

    def decision_function(self, X: Any) -> npt.NDArray[np.float64]:
        """How near each centroid is, (n, L): the negative squared distance.

        For two classes (n,): by how much the second is nearer than the first.
        """
        distances = self._distances(X)
        return distances[:, 0] - distances[:, 1] if len(self.classes_) == 2 else -distances

    @property
    def _n_features_out(self) -> int:
        return int(self.centroids_.shape[1])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


class _Curve(Listener):
    """Keeps the losses that are displayed, prints them where asked to, and warns of what goes wrong."""

    def __init__(self, *, verbose: bool) -> None:
        self.losses: list[float] = []
        self._verbose = verbose

    def on_display(self, solver: Solver, display: Display) -> None:
        self.losses.append(display.loss)
        if self._verbose:
            print(f"iteration {display.iteration} of {solver.settings.max_iter}: loss {display.loss:.4g}")

    def on_notice(self, solver: Solver, text: str) -> None:
        warnings.warn(text, ConvergenceWarning, stacklevel=2)


def is_text(given: str | Path) -> bool:
    """Whether a net or a solver is given as prototxt rather than as the path of a file."""
    return isinstance(given, str) and ("{" in given or "\n" in given or ": " in given)
