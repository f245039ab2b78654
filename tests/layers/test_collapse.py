"""The watch on collapsed embeddings: it speaks when they stay alike, and is silent about a healthy start."""

from __future__ import annotations

from netforge.layers.collapse import CollapseWatch


def words(watch: CollapseWatch, *distances: tuple[float, float]) -> list[bool]:
    return [watch.look(*pair) is not None for pair in distances]


def test_embeddings_that_stay_alike_are_told_at_the_third_look() -> None:
    assert words(CollapseWatch(1.0, 0.7), (0.01, 0.01), (0.01, 0.0101), (0.009, 0.009)) == [False, False, True]
    assert words(CollapseWatch(1.0, 0.7), *[(0.0, 0.0)] * 3) == [False, False, True]
    noise = [(1.0e-7, 1.4e-7), (0.7e-7, 1.1e-7), (1.3e-7, 1.2e-7)]
    assert words(CollapseWatch(5.0, 5.0), *noise) == [False, False, True]  # such a ratio means nothing


def test_a_healthy_net_is_left_alone() -> None:
    growing = [(0.001 * 2.1**i, 0.001 * 2.1**i) for i in range(6)]
    assert not any(words(CollapseWatch(1.0, 0.7), *growing))  # small at the start, on its way
    assert not any(words(CollapseWatch(1.0, 0.7), *[(0.01, 0.05)] * 5))  # small but apart
    assert not any(words(CollapseWatch(1.0, 0.7), *[(5.0, 5.0)] * 5))  # far from alike, only not learned
    assert not any(words(CollapseWatch(1.0, 0.7), *[(0.01, 0.01), (0.01, 0.01), (0.2, 0.9)] * 3))  # not in a row


def test_the_words_say_what_was_seen_and_what_to_try() -> None:
    watch = CollapseWatch(5.0, 2.5, "or mining: SEMIHARD")
    text = [watch.look(0.012, 0.0125) for _ in range(3)][-1]
    assert text is not None
    for part in (
        "0.013 between",
        "0.012 within",
        "3 looks in a row",
        "near 2.5",
        "base_lr",
        "warmup_iter",
        "BatchNorm",
        "mining: SEMIHARD",
    ):
        assert part in text


def test_a_net_that_works_its_way_out_is_left_alone() -> None:
    """The means of a batch-hard net with sigmoids, at iterations 0, 75, 150 ...: short for long, then learned."""
    apart = [(0.0253, 0.0307), (0.0149, 0.021), (0.0136, 0.0226), (0.0142, 0.0271), (0.0234, 0.0454), (0.137, 0.329)]
    assert not any(words(CollapseWatch(1.0, 0.7), *apart))


def test_the_few_shot_recipe_without_normalized_layers_is_told() -> None:
    """LeNet's tower under models/fewshot_mnist's recipe, as measured at iterations 100, 120, ... 180."""
    fading = [(0.222, 0.235), (0.145, 0.152), (0.0694, 0.0715), (0.00689, 0.00711), (0.0, 0.0)]
    assert words(CollapseWatch(1.0, 0.7), *fading) == [False] * 4 + [True]
