"""`netforge inspect`: look into a trained net: its embeddings, weights, activations, gradients and mistakes."""

from __future__ import annotations

import click

from netforge.cli.inspect_activations import activations
from netforge.cli.inspect_confusion import confusion
from netforge.cli.inspect_embeddings import embeddings
from netforge.cli.inspect_gradients import gradients
from netforge.cli.inspect_weights import weights


@click.group()
def inspect() -> None:
    """Look into a net: embeddings, weights, activations, gradients, mistakes.

    Each writes a page that needs no network, or a picture with --png.
    """


inspect.add_command(embeddings)
inspect.add_command(weights)
inspect.add_command(activations)
inspect.add_command(gradients)
inspect.add_command(confusion)
