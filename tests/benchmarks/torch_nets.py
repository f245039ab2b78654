"""The nets of `tests.benchmarks.nets` in PyTorch: the same layers, the same recipe, the same inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tests.benchmarks.nets import DECAY, MOMENTUM, RATE, BenchmarkNet

Step = Callable[[], Tensor]
WARM_UP = 3  # iterations before a capture, in which PyTorch chooses algorithms and takes memory


def make_module(name: str) -> nn.Module:
    """The net that learns: of "siamese" and "triplet" one tower, of the others all that gives scores."""
    makers = {"siamese": lambda: tower(2), "triplet": lambda: tower(4), "alexnet": alexnet, "resnet50": resnet50}
    return makers[name]()


def tower(embedding: int) -> nn.Sequential:
    """LeNet with an embedding of that many numbers."""
    return nn.Sequential(
        nn.Conv2d(1, 20, 5),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(20, 50, 5),
        nn.MaxPool2d(2, 2),
        nn.Flatten(),
        nn.Linear(800, 500),
        nn.ReLU(inplace=True),
        nn.Linear(500, 10),
        nn.Linear(10, embedding),
    )


def alexnet() -> nn.Sequential:
    """One column with groups, as models/alexnet; PyTorch's LRN divides alpha by the size as Caffe's does."""
    relu, pool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, ceil_mode=True)
    lrn = nn.LocalResponseNorm(5, alpha=0.0005, beta=0.75, k=2.0)
    layers: Sequence[nn.Module] = (
        *(nn.Conv2d(3, 96, 11, stride=4), relu, lrn, pool),
        *(nn.Conv2d(96, 256, 5, padding=2, groups=2), relu, lrn, pool),
        *(nn.Conv2d(256, 384, 3, padding=1), relu),
        *(nn.Conv2d(384, 384, 3, padding=1, groups=2), relu),
        *(nn.Conv2d(384, 256, 3, padding=1, groups=2), relu, pool),
        *(nn.Flatten(), nn.Linear(9216, 4096), relu, nn.Dropout()),
        *(nn.Linear(4096, 4096), relu, nn.Dropout(), nn.Linear(4096, 1000)),
    )
    return nn.Sequential(*layers)


class Bottleneck(nn.Module):
    """A block of ResNet-50 that halves the size, where it does, in its first convolution."""

    def __init__(self, entering: int, width: int, stride: int, project: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *convolution(entering, width, 1, stride),
            nn.ReLU(inplace=True),
            *convolution(width, width, 3),
            nn.ReLU(inplace=True),
            *convolution(width, 4 * width, 1),
        )
        self.shortcut = nn.Sequential(*convolution(entering, 4 * width, 1, stride) if project else ())

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(self.body(x) + self.shortcut(x))


def convolution(entering: int, outputs: int, kernel: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    """A convolution without bias, and BatchNorm with scale and shift."""
    return (
        nn.Conv2d(entering, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs, momentum=0.001),
    )


def resnet50() -> nn.Sequential:
    """As models/resnet50."""
    layers: list[nn.Module] = [*convolution(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, ceil_mode=True)]
    entering = 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            layers.append(Bottleneck(entering, width, 2 if stage and not block else 1, project=not block))
            entering = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


def make_step(net: BenchmarkNet, device: str = "cpu") -> Step:
    """A function that does one training iteration and returns the loss, on the device."""
    torch.manual_seed(1)
    module = make_module(net.name).to(device)
    rule = torch.optim.SGD(module.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
    data, labels = (torch.from_numpy(array).to(device) for array in net.inputs.values())
    losses = {"siamese": _contrastive, "triplet": _triplet}
    loss_of = losses.get(net.name, _cross_entropy)(module, data, labels)

    def step() -> Tensor:
        rule.zero_grad()
        loss = loss_of()
        loss.backward()
        rule.step()
        return loss

    return step


def _cross_entropy(module: nn.Module, data: Tensor, labels: Tensor) -> Step:
    criterion, classes = nn.CrossEntropyLoss(), labels.long()
    return lambda: criterion(module(data), classes)


def _triplet(module: nn.Module, data: Tensor, labels: Tensor) -> Step:
    """Partners are drawn in each iteration among the images of the batch, without a look from the host."""
    items = len(data)
    same = labels[:, None] == labels[None]
    positives, negatives = (same & ~torch.eye(items, dtype=torch.bool, device=data.device)).float(), (~same).float()

    def triplet() -> Tensor:
        p, n = (torch.rand_like(allowed).mul_(allowed).argmax(1) for allowed in (positives, negatives))
        anchor, near, far = module(data), module(data[p]), module(data[n])
        violation = 5 + ((anchor - near) ** 2).sum(1) - ((anchor - far) ** 2).sum(1)
        return torch.clamp(violation, min=0).mean() / 2

    return triplet


def _contrastive(module: nn.Module, data: Tensor, labels: Tensor) -> Step:
    first, second = data[:, :1].contiguous(), data[:, 1:].contiguous()

    def contrastive() -> Tensor:
        squared = ((module(first) - module(second)) ** 2).sum(1)
        apart = torch.clamp(1 - (squared + 1e-12).sqrt(), min=0) ** 2
        return (labels * squared + (1 - labels) * apart).mean() / 2

    return contrastive


def capture(step: Step) -> Callable[[], None]:
    """The iteration as a CUDA graph, in the way PyTorch's documentation shows; the function replays it."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()

    def replay(_kept: Step = step) -> None:
        """The graph knows addresses only: whoever holds it has to hold the weights and the batch, too."""
        graph.replay()

    return replay
