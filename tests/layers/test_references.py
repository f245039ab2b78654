"""Layers against plain loops written from their definitions, on random shapes and settings."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from netforge.testing import LayerRun, distinct
from tests.layers.cases import row

quick = settings(max_examples=25, deadline=None, derandomize=True)
small = st.integers(1, 3)


def run(type_: str, bottoms: list[np.ndarray], tops: str, text: str, **options) -> LayerRun:
    names = " ".join(f"x{i}" for i in range(len(bottoms)))
    return LayerRun(row(type_, names, tops, text), bottoms, **options)


@quick
@given(small, small, st.integers(1, 2), small, small, st.integers(0, 2), st.integers(1, 2), st.integers(0, 9))
def test_convolution(items, channels, group, kernel, stride, pad, dilation, seed) -> None:
    rng = np.random.default_rng(seed)
    extent = dilation * (kernel - 1) + 1
    size = (extent + 2, extent + 3)
    x = rng.standard_normal((items, channels * group, *size))
    text = (
        f"convolution_param {{ num_output: {2 * group} kernel_size: {kernel} stride: {stride} pad: {pad} "
        f"dilation: {dilation} group: {group} }}"
    )
    layer = run("Convolution", [x], "y", text)
    (y,) = layer.forward()
    w, b = (blob.data for blob in layer.layer.weights)
    out = [(n + 2 * pad - extent) // stride + 1 for n in size]
    expected = np.zeros((items, 2 * group, *out))
    for n, o, r, c in np.ndindex(expected.shape):
        total = b[o]
        first = o // 2 * channels
        for k, i, j in np.ndindex(channels, kernel, kernel):
            u, v = r * stride - pad + i * dilation, c * stride - pad + j * dilation
            if 0 <= u < size[0] and 0 <= v < size[1]:
                total += w[o, k, i, j] * x[n, first + k, u, v]
        expected[n, o, r, c] = total
    np.testing.assert_allclose(y, expected, atol=1e-12)


def pooled_size(size: int, kernel: int, stride: int, pad: int, padded: bool, ceil: bool) -> int:
    out = (math.ceil if ceil else math.floor)((size + 2 * pad - kernel) / stride) + 1
    return out - 1 if padded and (out - 1) * stride >= size + pad else out


@quick
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2), st.booleans(), st.booleans(), small)
def test_pooling(kernel_h, kernel_w, stride, pad, ceil, average, seed) -> None:
    kernel, pads = (kernel_h, kernel_w), (min(pad, kernel_h - 1), min(pad, kernel_w - 1))
    size = (kernel_h + 3, kernel_w + 2)
    x = distinct(np.random.default_rng(seed), (2, 2, *size))
    text = (
        f"pooling_param {{ pool: {'AVE' if average else 'MAX'} kernel_h: {kernel_h} kernel_w: {kernel_w} "
        f"stride: {stride} pad_h: {pads[0]} pad_w: {pads[1]} round_mode: {'CEIL' if ceil else 'FLOOR'} }}"
    )
    layer = run("Pooling", [x], "y" if average else "y mask", text)
    tops = layer.forward()
    out = [pooled_size(n, k, stride, p, any(pads), ceil) for n, k, p in zip(size, kernel, pads, strict=True)]
    assert list(tops[0].shape[2:]) == out
    for n, c, r, q in np.ndindex(tops[0].shape):
        top, left = r * stride - pads[0], q * stride - pads[1]
        bottom, right = min(top + kernel_h, size[0] + pads[0]), min(left + kernel_w, size[1] + pads[1])
        area = (bottom - top) * (right - left)
        rows, columns = slice(max(top, 0), min(bottom, size[0])), slice(max(left, 0), min(right, size[1]))
        window = x[n, c, rows, columns]
        if average:
            assert math.isclose(tops[0][n, c, r, q], window.sum() / area, abs_tol=1e-12)
        else:
            place = np.unravel_index(int(window.argmax()), window.shape)
            assert tops[0][n, c, r, q] == window.max()
            assert tops[1][n, c, r, q] == (rows.start + place[0]) * size[1] + columns.start + place[1]


def contrastive_cost(a, b, labels, rule) -> tuple[float, np.ndarray, np.ndarray]:
    """Loss, matches, and gradient of a, by the definition of one pair at a time."""
    margin, legacy, manhattan, scale = rule
    loss, matches, slopes = 0.0, [], []
    for x, y, label in zip(a, b, labels, strict=True):
        similar = int(label[0]) != 0 if len(label) == 1 else all(v == label[0] for v in label)
        difference = x - y
        distance = sum(abs(difference)) if manhattan else sum(difference**2)
        base = np.sign(difference) / 2 if manhattan else difference
        if similar:
            distance, base = distance * scale, base * scale
        d = distance if legacy or manhattan else math.sqrt(distance)
        room = margin - d
        matches.append(float((room >= 0) == similar))
        if similar:
            loss += distance
            slopes.append(base)
        elif legacy or manhattan:
            loss += max(room, 0)
            slopes.append(-base * (room > 0))
        else:
            loss += max(room, 0) ** 2
            slopes.append(-base * max(room, 0) / (d + 1e-4))
    return loss / (2 * len(a)), np.array(matches), np.array(slopes) / len(a)


@quick
@given(
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(1, 3),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.integers(0, 99),
)
def test_contrastive_loss(items, size, columns, legacy, manhattan, scaled, seed) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, items, size))
    labels = rng.integers(0, 2, (items, columns)).astype(float)
    scale = 0.4 if scaled else 1.0
    text = (
        f"contrastive_loss_param {{ margin: 1.5 legacy_version: {str(legacy).lower()} output_matches: true "
        f"distance_calculation: {'MANHATTAN' if manhattan else 'EUCLIDEAN'} matching_distance_scale: {scale} }}"
    )
    layer = run("ContrastiveLoss", [a, b, labels], "loss matches", text)
    loss, matches = layer.forward()
    expected, right, slope = contrastive_cost(a, b, labels, (1.5, legacy, manhattan, scale))
    np.testing.assert_allclose(loss, expected, rtol=1e-12)
    np.testing.assert_array_equal(matches, right)
    (da, db, _), _ = layer.backward([np.array(3.0), np.zeros(items)])
    np.testing.assert_allclose(da, 3 * slope, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(db, -3 * slope, rtol=1e-12, atol=1e-15)


@quick
@given(st.integers(1, 30), st.integers(1, 4), st.integers(1, 9), st.integers(1, 4), st.integers(0, 99))
def test_centroids_follow_one_item_at_a_time(items, classes, horizon, batches, seed) -> None:
    rng = np.random.default_rng(seed)
    layer = run(
        "Decode", [np.zeros((items, 3)), np.zeros((items, 1))], "d", f"decode_param {{ recent_items: {horizon} }}"
    )
    centroids, counts, status = np.zeros((classes, 3)), np.zeros(classes), np.zeros(classes)
    for _ in range(batches):
        x, labels = rng.standard_normal((items, 3)), rng.integers(0, classes, items)
        layer.feed([x, labels[:, None]])
        layer.step()
        for item, label in zip(x, labels, strict=True):
            status[label] = max(status[label], counts[label] >= horizon)
            counts[label] += 1
            centroids[label] += (item - centroids[label]) / min(counts[label], horizon)
    seen = layer.layer.weights[0].shape[0]
    assert seen >= min(2, classes) and not counts[seen:].any()
    for blob, expected in zip(layer.layer.weights, (centroids, status, counts), strict=True):
        np.testing.assert_allclose(blob.data[:classes], expected[:seen], atol=1e-12)
    distances = ((x[:, None] - layer.layer.weights[0].data) ** 2).sum(axis=2)
    distances[:, layer.layer.weights[2].data == 0] = np.finfo(np.float32).max  # classes that were not seen
    np.testing.assert_allclose(layer.top[0].data, distances, atol=1e-12)


@quick
@given(st.integers(1, 4), st.integers(2, 5), st.integers(1, 3), st.integers(1, 5), st.booleans(), st.integers(0, 99))
def test_accuracy(outer, classes, inner, top_k, ignore, seed) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 3, (outer, classes, inner)).astype(float)
    labels = rng.integers(0, classes, (outer, inner)).astype(float)
    top_k = min(top_k, classes)
    text = f"accuracy_param {{ top_k: {top_k} {'ignore_label: 1' if ignore else ''} }}"
    accuracy, each = run("Accuracy", [scores, labels], "a each", text).forward()
    right, count = np.zeros(classes), np.zeros(classes)
    for o, i in np.ndindex(outer, inner):
        label = int(labels[o, i])
        if ignore and label == 1:
            continue
        rivals = sum(scores[o, k, i] >= scores[o, label, i] for k in range(classes) if k != label)
        right[label] += rivals < top_k
        count[label] += 1
    assert accuracy == right.sum() / max(1, count.sum())
    np.testing.assert_allclose(each, right / np.maximum(1, count))


@quick
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 99))
def test_accuracy_of_distances(items, classes, seed) -> None:
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, 3, (items, classes)).astype(float)
    labels = rng.integers(0, classes, (items, 2)).astype(float)
    (accuracy,) = run("AccuracyDecode", [distances, labels], "a", 'accuracy_param { ignore_labels: "{0,7}" }').forward()
    counted = [i for i in range(items) if labels[i, 0] != 0]
    right = sum(min(range(classes), key=lambda k: (distances[i, k], k)) == labels[i, 0] for i in counted)
    assert accuracy == right / max(1, len(counted))
