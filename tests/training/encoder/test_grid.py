import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tmssl.config import ModelConfig
from tmssl.errors import ConfigError
from tmssl.retrieval.vectors.fold_bn import fold_bn
from tmssl.training.encoder.backbone import create_encoder, feature_count, restored_encoder
from tmssl.training.encoder.grid import GridEncoder, StageGrid
from tmssl.training.encoder.normalization import Normalization
from tmssl.training.encoder.weights import create_trunk

# The module that ends each stage by timm's number, in the families that the tests cover.
FAMILIES = {
    "tf_efficientnet_lite0": ("blocks.{}", (3, 4), 96, [80, 112]),
    "mobilenetv3_small_050": ("blocks.{}", (1, 3), 64, [16, 24]),
    "test_resnet": ("layer{}", (2, 3), 96, [48, 192]),
    "regnety_002": ("s{}", (2, 3), 64, [56, 152]),
    "test_convnext": ("stages.{}", (1, 2), 96, [32, 48]),
    "test_vit": ("blocks.{}", (1, 3), 160, [64, 64]),
}


def grid_encoder(name: str, stages: tuple[int, ...], **settings: object) -> GridEncoder:
    torch.manual_seed(0)
    tree = {
        "name": name,
        "init": "none",
        "features": "grid",
        "stages": stages,
        "whiten": 16,
        **settings,
    }
    encoder = create_encoder(ModelConfig(**tree)).eval()  # type: ignore[arg-type]  # of known settings
    assert isinstance(encoder, GridEncoder)
    for grid in encoder.grids:
        if grid.axes is not None and grid.centre is not None:
            grid.axes.normal_()
            grid.centre.normal_(std=0.01)
    return encoder


@pytest.mark.parametrize("name", FAMILIES)
def test_stages_are_where_timm_counts_them_in_every_family(name: str) -> None:
    place, stages, size, channels = FAMILIES[name]
    encoder = grid_encoder(name, stages, normalization="imagenet")
    torch.manual_seed(0)
    whole = create_trunk(name).eval()
    seen: list[Tensor] = []
    for stage in stages:
        whole.get_submodule(place.format(stage)).register_forward_hook(
            lambda _module, _input, output: seen.append(output)
        )
    view = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole(view)
        maps = encoder.maps(view)
        assert encoder(view).shape == (2, feature_count(encoder)) == (2, 32)
    assert [found.shape[1] for found in maps] == channels
    for found, expected in zip(maps, seen, strict=True):
        if expected.ndim == 3:  # a transformer's tokens, of which the first is the class's
            side = found.shape[-1]
            expected = expected[:, -side * side :].transpose(1, 2).reshape(found.shape)
        assert torch.equal(found, expected)


@pytest.mark.parametrize("name", FAMILIES)
def test_what_lies_behind_the_last_stage_is_gone_and_all_else_learns(name: str) -> None:
    _, stages, size, _ = FAMILIES[name]
    encoder = grid_encoder(name, stages).train()
    view = torch.rand(4, 3, size, size, generator=torch.Generator().manual_seed(1))
    encoder(view).square().sum(0).var().backward()
    assert [name for name, weight in encoder.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_a_grid_without_its_bn_layers_gives_the_same_features(name: str) -> None:
    _, stages, size, _ = FAMILIES[name]
    encoder = grid_encoder(name, stages)
    folded = fold_bn(encoder)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    view = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.allclose(folded(view), encoder(view), atol=1e-5)


@pytest.mark.parametrize("side", [1, 3, 6, 7, 12])
def test_cells_are_those_of_adaptive_pooling(side: int) -> None:
    features = torch.rand(2, 5, side, side + 1)
    expected = functional.adaptive_avg_pool2d(features, 4).flatten(1)
    expected = expected / expected.norm(dim=1, keepdim=True)
    assert torch.allclose(StageGrid(5, 4, 0).cells(features), expected, atol=1e-6)


def test_an_encoder_begins_as_the_whitened_grid_itself() -> None:
    encoder = grid_encoder("test_resnet", (2, 3))
    view = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        described = encoder.describe(view)
        assert torch.equal(encoder(view), described)
    for part in described.chunk(2, 1):
        assert torch.allclose(part.norm(dim=1), torch.ones(2))


def test_without_whitening_a_grid_keeps_every_cell() -> None:
    encoder = grid_encoder("test_resnet", (2, 3), whiten=0, grid=2)
    assert feature_count(encoder) == (48 + 192) * 4
    assert encoder.has_axes


def test_a_checkpoint_decides_how_many_features_a_stage_keeps() -> None:
    encoder = grid_encoder("test_resnet", (2, 3), whiten=9)
    model = ModelConfig(name="test_resnet", init="none", features="grid", stages=(2, 3), whiten=512)
    again = restored_encoder(model, encoder.state_dict()).eval()
    view = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        assert torch.equal(again(view), encoder(view))


def test_whitening_stays_in_float32_under_autocast() -> None:
    encoder = grid_encoder("test_resnet", (2,))
    features = torch.rand(2, 48, 6, 6)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        low = encoder.grids[0](features)
    with torch.inference_mode():
        assert torch.equal(low, encoder.grids[0](features))


@pytest.mark.parametrize(
    ("name", "stages", "said"),
    [
        ("tf_efficientnet_lite0", (3, 7), "has no stage 7; give --stages from 0 to 6"),
        ("test_convnext", (4,), "has no stage 4; give --stages from 0 to 3"),
    ],
)
def test_stages_that_are_not_there_are_told(name: str, stages: tuple[int, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        create_encoder(ModelConfig(name=name, init="none", features="grid", stages=stages))


def test_a_model_without_intermediate_features_is_told() -> None:
    with pytest.raises(
        ConfigError, match="gives no features of its stages; give --features pooled"
    ):
        GridEncoder(
            torch.nn.Identity(),
            "some_model",
            stages=(0,),
            grid=4,
            kept=(1,),
            normalization=Normalization((0.5,) * 3, (0.5,) * 3),
        )
