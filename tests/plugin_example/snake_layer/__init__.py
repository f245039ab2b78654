"""A layer from outside netforge: Snake, y = x + sin^2(a x) / a (Ziyin et al. 2020, equation 2)."""

from dataclasses import dataclass

from netforge import Layer, register_layer, setting


@dataclass
class SnakeSettings:
    frequency: float = setting(1.0, help="a, in radians per unit of x", range="(0, inf)")


@register_layer("Snake", settings=SnakeSettings)
class Snake(Layer):
    """y = x + sin^2(a x) / a, elementwise."""

    def reshape(self, bottom, top):
        top[0].reshape(bottom[0].shape)

    def forward(self, bottom, top):
        a, x = self.settings.frequency, bottom[0].data
        top[0].data[...] = x + self.xp.sin(a * x) ** 2 / a

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff * (1 + self.xp.sin(2 * self.settings.frequency * bottom[0].data))
