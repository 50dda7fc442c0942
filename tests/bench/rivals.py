"""Other ways to train on the same images, for `tests.bench.trainer` to compare with."""

import copy
import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image, ImageFilter, ImageOps
from timm.optim import Lars
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from tmssl.config import Config
from tmssl.training.encoder.backbone import create_encoder
from tmssl.training.learner import autocast, choose_precision
from tmssl.training.moco import MoCo


class Blur:
    """A Gaussian blur of a random width, by Pillow."""

    def __call__(self, image: Image.Image) -> Image.Image:
        """Blur with sigma uniform in [0.1, 2]."""
        sigma = 0.1 + 1.9 * float(torch.rand(()))
        return image.filter(ImageFilter.GaussianBlur(sigma))


def published_pipeline(size: int, blur: float, solarize: float) -> Any:
    """MoCo v3's augmentation (Chen et al. 2021, as BYOL's) on PIL images."""
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(size, scale=(0.2, 1.0)),
            transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8),
            transforms.RandomGrayscale(p=0.2),
            transforms.RandomApply([Blur()], p=blur),
            transforms.RandomApply([transforms.Lambda(ImageOps.solarize)], p=solarize),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )


class TwoCrops:
    """MoCo v3's pair of transforms of one PIL image."""

    def __init__(self, size: int) -> None:
        self._pipelines = (
            published_pipeline(size, 1.0, 0.0),
            published_pipeline(size, 0.1, 0.2),
        )

    def __call__(self, image: Image.Image) -> tuple[Tensor, Tensor]:
        """Both views."""
        return self._pipelines[0](image), self._pipelines[1](image)


class TwoViews(Dataset[tuple[Tensor, Tensor]]):
    """Both views of each image of a folder, decoded and augmented by Pillow."""

    def __init__(self, folder: Path, size: int) -> None:
        self._paths = sorted(folder.rglob("*.png"))
        self._crops = TwoCrops(size)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        with Image.open(self._paths[index]) as file:
            return self._crops(file.convert("RGB"))


def endless(loader: Any) -> Iterator[Any]:
    """Batches, epoch after epoch."""
    return itertools.chain.from_iterable(itertools.repeat(loader))


def training_batches(
    dataset: Dataset[Any], batch_size: int, workers: int, device: torch.device
) -> Iterator[Any]:
    """Shuffled whole batches, without end; pinned for a GPU."""
    return endless(
        DataLoader(
            dataset,
            batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=True,
            pin_memory=device.type == "cuda",
        )
    )


class PlainLoop:
    """A loop as most write it: PIL in workers, NCHW, a momentum loop over parameters, `.item()`.

    On a GPU it casts to the trainer's own precision, and its loader pins its batches.
    """

    def __init__(self, folder: Path, config: Config, workers: int, device: torch.device) -> None:
        torch.manual_seed(0)
        self._device, self._precision = device, choose_precision("auto", device)
        self._model = MoCo(
            create_encoder(config.model), config.model.hidden, config.model.dimensions
        ).to(device)
        moved = [p for p in self._model.parameters() if p.requires_grad]
        self._optimizer = Lars(moved, lr=0.3, momentum=0.9, weight_decay=1e-6)
        self._tau = config.optim.temperature
        dataset = TwoViews(folder, config.data.image_size)
        self._batches = training_batches(dataset, config.train.batch_size, workers, device)

    def step(self) -> None:
        """One step of MoCo v3."""
        first, second = (view.to(self._device, non_blocking=True) for view in next(self._batches))
        with autocast(self._device, self._precision):
            loss = self._loss(first, second)
        loss.item()
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._optimizer.step()

    def _loss(self, first: Tensor, second: Tensor) -> Tensor:
        """Both directions, after the momentum encoder has moved."""
        model = self._model
        queries = [model(view)[0] for view in (first, second)]
        with torch.no_grad():
            pairs = [
                *zip(model.momentum_encoder.parameters(), model.encoder.parameters(), strict=True),
                *zip(
                    model.momentum_projector.parameters(), model.projector.parameters(), strict=True
                ),
            ]
            for average, learning in pairs:
                average.mul_(0.99).add_(learning, alpha=0.01)
            keys = [model.keys(view) for view in (first, second)]
        return self._contrast(queries[0], keys[1]) + self._contrast(queries[1], keys[0])

    def _contrast(self, query: Tensor, key: Tensor) -> Tensor:
        """Cross-entropy against the diagonal."""
        logits = functional.normalize(query, dim=1) @ functional.normalize(key, dim=1).T / self._tau
        return (
            functional.cross_entropy(logits, torch.arange(len(query), device=query.device))
            * 2
            * self._tau
        )


class LightlyExample:
    """The parts and settings of lightly's MoCo example, on the same backbone and images.

    It is MoCo v2: one query pass and one key pass an image, where MoCo v3 takes two of each.

    Raises:
        ModuleNotFoundError: lightly is not installed.
    """

    def __init__(self, folder: Path, config: Config, workers: int, device: torch.device) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it imports warns of its own future
            from lightly.data import LightlyDataset
            from lightly.loss import NTXentLoss
            from lightly.models.modules import MoCoProjectionHead
            from lightly.models.utils import deactivate_requires_grad, update_momentum
            from lightly.transforms import MoCoV2Transform
        torch.manual_seed(0)
        self._update, self._device = update_momentum, device
        self._precision = choose_precision("auto", device)
        self._backbone = timm.create_model(config.model.name, num_classes=0).to(device)
        self._head = MoCoProjectionHead(self._backbone.head_hidden_size, 512, 128).to(device)
        self._slow = copy.deepcopy(self._backbone), copy.deepcopy(self._head)
        for part in self._slow:
            deactivate_requires_grad(part)
        self._criterion = NTXentLoss(memory_bank_size=(4096, 128)).to(device)
        moved = [*self._backbone.parameters(), *self._head.parameters()]
        self._optimizer = torch.optim.SGD(moved, lr=0.06)
        dataset = LightlyDataset(
            str(folder), transform=MoCoV2Transform(input_size=config.data.image_size)
        )
        self._batches = training_batches(dataset, config.train.batch_size, workers, device)

    def step(self) -> None:
        """One step of the example."""
        both = next(self._batches)[0]
        x_query, x_key = (view.to(self._device, non_blocking=True) for view in both)
        for learning, average in zip((self._backbone, self._head), self._slow, strict=True):
            self._update(learning, average, m=0.99)
        with autocast(self._device, self._precision):
            query = self._head(self._backbone(x_query).flatten(start_dim=1))
            with torch.no_grad():
                key = self._slow[1](self._slow[0](x_key).flatten(start_dim=1))
        loss = self._criterion(query.float(), key.float())
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad()
