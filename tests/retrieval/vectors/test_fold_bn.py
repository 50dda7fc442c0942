"""An encoder without its BN layers says what it said with them."""

import pytest
import timm
import torch
from torch import Tensor, nn

from tmssl.retrieval.vectors.fold_bn import fold_bn


def eventful(encoder: nn.Module) -> nn.Module:
    """The encoder as if it had been trained: no BN layer does nothing."""
    dice = torch.Generator().manual_seed(1)
    for layer in encoder.modules():
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            layer.running_mean.normal_(0, 0.1, generator=dice)
            layer.running_var.uniform_(0.5, 2, generator=dice)
            nn.init.uniform_(layer.weight, 0.5, 1.5, generator=dice)
            nn.init.normal_(layer.bias, 0, 0.1, generator=dice)
    return encoder.eval()


def norms(encoder: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in encoder.modules())


@pytest.mark.parametrize(
    ("name", "size", "left"),
    [
        ("efficientnet_b0", 64, 0),
        ("tf_efficientnet_b0", 64, 0),  # convolutions that pad like TensorFlow's
        ("resnet10t", 64, 0),
        ("mobilenetv3_small_050", 64, 0),
        ("repvit_m0_9", 64, 23),  # sums two convolutions before some of its BN layers
        ("densenet121", 64, 62),  # normalises before it convolves
        ("convmixer_768_32", 64, 65),  # activates between the two
        ("resnetv2_50x1_bit", 64, 0),  # standardises its weights, and has no BN layer
        ("efficientvit_m0", 224, 112),  # decides by what it sees, so all stay
        ("test_vit", 160, 0),  # has none
    ],
)
def test_features_are_the_same_without_bn(name: str, size: int, left: int) -> None:
    encoder = eventful(timm.create_model(name, num_classes=0))
    without = fold_bn(encoder)
    view = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected, found = encoder(view), without(view)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert norms(without) == left


def test_the_encoder_itself_stays_as_it_is() -> None:
    encoder = eventful(timm.create_model("test_efficientnet", num_classes=0)).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    assert norms(encoder) > norms(fold_bn(encoder)) == 0
    assert encoder.training
    assert before.keys() == encoder.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


class Twice(nn.Module):
    """An encoder that uses what a convolution says twice, or a convolution twice."""

    def __init__(self, *, again: bool) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.again = again

    def forward(self, view: Tensor) -> Tensor:
        made = self.conv(view)
        normed = self.bn(made)
        return (normed + (self.conv(view + 1) if self.again else made)).mean((2, 3))


@pytest.mark.parametrize("again", [True, False])
def test_a_convolution_that_serves_twice_keeps_its_bn(again: bool) -> None:
    encoder = eventful(Twice(again=again))
    without, view = fold_bn(encoder), torch.rand(2, 3, 8, 8)
    assert norms(without) == 1
    torch.testing.assert_close(without(view), encoder(view))


def test_bn_without_statistics_of_its_own_stays() -> None:
    encoder = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)).eval()
    assert norms(fold_bn(encoder)) == 1
