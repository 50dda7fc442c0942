"""Weights from elsewhere: whatever a training saved around them, the encoder in a file is found by its names.

MoCo, DINO, lightly, solo-learn, Lightning, `torch.compile` and DDP put prefixes before the names of a timm
model, and nest them: `state_dict.module.base_encoder.conv1.weight`. The prefix is the one under which every
weight of the wanted model stands with its shape.
"""

import argparse
import dataclasses
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tmssl.errors import ConfigError
from tmssl.files import unicode_path
from tmssl.text import count, safe
from tmssl.training.checkpoints.payload import is_ours
from tmssl.training.checkpoints.store import UNREADABLE, why_unreadable

Tell = Callable[[str], None]
"""is told what a person may want to know of the weights that were taken"""

_COUNTER = "num_batches_tracked"  # torchvision and others had none before torch 0.4.1
_WRAPPED = re.compile(r"(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_NOT_ALLOWED = re.compile(r"GLOBAL ([\w.]+)")
_OTHER_STATE = ("optim", "scaler", "lr_sched", "scheduler", "loops", "callbacks")
_DEEPEST = 8  # dictionaries in dictionaries
_AVERAGES = frozenset({"ema", "teacher"})  # what such trainings publish
_FOLLOWERS = frozenset({"momentum", "k", "key", "target", "student", "slow"})
_SLIGHT = 0.9  # share of a model's weights with which a file is of that model, with some damage
_FEWEST = 20  # weights of a model; a file of fewer is of none
_SEARCH_S = 6.0  # for the nearest model, once the weights do not fit
_WIDESPREAD = (
    "resnet50 resnet18 resnet34 resnet101 resnet152 resnet10t resnet14t resnet26 resnet50d resnext50_32x4d "
    "wide_resnet50_2 efficientnet_b0 tf_efficientnet_lite0 efficientnet_b1 efficientnet_b2 efficientnet_b3 "
    "mobilenetv2_100 mobilenetv3_small_100 mobilenetv3_large_100 convnext_tiny convnext_small convnext_base "
    "vit_tiny_patch16_224 vit_small_patch16_224 vit_small_patch8_224 vit_base_patch16_224 vit_base_patch8_224 "
    "vit_small_patch14_dinov2 vit_base_patch14_dinov2 swin_tiny_patch4_window7_224 regnety_016 densenet121"
).split()


@dataclasses.dataclass(frozen=True)
class _Place:
    """One place in a file at which a model may stand."""

    prefix: str
    names: dict[str, str]
    """wanted name to name in the file, of weights that are there"""
    fitting: int
    """how many of them have the wanted shape; counters are not counted"""
    reshaped: tuple[str, ...]
    """wanted names of those that have another shape"""
    surplus: tuple[str, ...]
    """names of further weights of the same kinds, as a deeper model has them"""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Every weight in a file by its name, after the names of the dictionaries that it lies in.

    Of a tmssl checkpoint the encoder alone, without a prefix. Nothing but plain values, tensors and
    `argparse.Namespace`, which timm saves with them, is unpickled.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            with unicode_path(path) as name:
                return _flat(load_file(name))
        with torch.serialization.safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript, which is an error here
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConfigError(f"cannot read {safe(path)}: {safe(error.strerror or error)}") from error
    except UNREADABLE as error:
        raise _unreadable(path, error) from error
    if isinstance(content, dict) and is_ours(content):
        return _flat(content.get("encoder"))
    return _flat(content)


def _unreadable(path: Path, error: Exception) -> ConfigError:
    """The error of a file that is not read, with the reason where it is known."""
    foreign = _NOT_ALLOWED.search(str(error))
    if foreign is not None:
        return ConfigError(
            f"{safe(path)} holds a {safe(foreign[1], 60)} beside its weights, and unpickling it could run "
            'code, so it is not read; where you trust it, save its weights alone: `python -c "import '
            "torch; d = torch.load('FILE', weights_only=False); torch.save(d['state_dict'], 'w.pt')\"`"
        )
    if isinstance(error, RuntimeError) and "TorchScript" in str(error):
        return ConfigError(
            f"{safe(path)} is a TorchScript program, which is not run; save its state_dict() instead"
        )
    return ConfigError(
        f"{safe(path)} holds no weights, or is damaged{why_unreadable(error)}; give a timm "
        "state dict by torch.save or as .safetensors, a tmssl checkpoint, or a run"
    )


def _flat(content: object) -> dict[str, Tensor]:
    """The tensors of nested dictionaries by their dotted names, without what wrappers add amid them."""
    found: dict[str, Tensor] = {}
    waiting: list[tuple[str, object, int]] = [("", content, 0)]
    while waiting:
        prefix, value, depth = waiting.pop()
        if isinstance(value, Tensor):
            found[_WRAPPED.sub("", prefix)] = value
        elif isinstance(value, Mapping) and depth < _DEEPEST:
            inner = [
                (f"{prefix}.{key}" if prefix else key, item, depth + 1)
                for key, item in value.items()
                if isinstance(key, str) and not (depth < 2 and key.startswith(_OTHER_STATE))
            ]
            waiting += reversed(inner)  # the last is taken first, so the order stays
    return found


def load_weights(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    name: str,
    source: str,
    tell: Tell = lambda _: None,
) -> None:
    """Load the weights of a file into a timm model, without its classifier and what else it holds.

    Args:
        module: the model.
        weights: those of `read_weights`.
        name: of the model.
        source: the file, for messages.
        tell: is told where the weights stood, if not at the top, and which others were left.

    Raises:
        ConfigError: some weights are missing or of another shape, or not finite.
    """
    wanted = module.state_dict()
    whole = [place for place in _places(module, weights) if _is_whole(place, wanted)]
    whole.sort(key=lambda place: _rank(place.prefix))
    if not whole:
        raise _misfit(module, weights, name, source)
    place = whole[0]
    taken = {own: weights[there] for own, there in place.names.items() if own not in place.reshaped}
    broken = [own for own, value in taken.items() if not torch.isfinite(value).all()]
    if broken:
        raise ConfigError(
            f"{safe(source)} holds NaN or infinite weights, such as {safe(place.names[broken[0]], 100)}; "
            "give weights of a training that did not diverge"
        )
    module.load_state_dict({**wanted, **taken})
    words = _told(place, [other.prefix for other in whole[1:]], wanted)
    if words:
        tell(f"{safe(source)}: {words}")


def _told(place: _Place, others: Sequence[str], wanted: Mapping[str, Tensor]) -> str:
    """What is said of the weights that were taken; nothing of those of a plain file."""
    parts = [f"the weights under '{safe(place.prefix, 80)}' are taken"] if place.prefix else []
    if others:
        parts.append(f"not those under {', '.join(repr(safe(other, 80)) for other in others)}")
    if any(own != there.removeprefix(place.prefix) for own, there in place.names.items()):
        parts.append("numbered layers are taken by their order")
    if len(place.names) < len(wanted):
        parts.append(f"it has no {_COUNTER}, which begin at 0")
    return ", ".join(parts)


def _places(module: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[_Place]:
    """Every place of a file at which some weight of a model stands, by names, then by numbered layers."""
    wanted = module.state_dict()
    for renamed in _namings(module):
        needed = {own: renamed(own) for own in wanted}
        for prefix in _prefixes(needed, wanted, weights):
            yield _place(prefix, needed, wanted, weights)


def _namings(module: nn.Module) -> list[Callable[[str], str]]:
    """The ways to name a model's weights: as it does, and with numbers for its layers.

    lightly and others wrap a model's layers as `nn.Sequential(*model.children())`; its own ResNet calls
    activation and pooling as functions, so that they have no number there.
    """
    children = dict(module.named_children())
    with_weights = [name for name, child in children.items() if child.state_dict()]
    namings: list[Callable[[str], str]] = [str]
    for names in (list(children), with_weights):
        numbers = {name: str(number) for number, name in enumerate(names)}

        def renamed(own: str, numbers: Mapping[str, str] = numbers) -> str:
            first, dot, rest = own.partition(".")
            return f"{numbers.get(first, first)}{dot}{rest}"

        namings.append(renamed)
    return namings


def _prefixes(
    needed: Mapping[str, str], wanted: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> list[str]:
    """What stands in a file before the names of a model's first and last weights of their shapes."""
    large = [own for own in wanted if wanted[own].ndim > 1] or list(wanted)
    prefixes: dict[str, None] = {}
    for own in dict.fromkeys([*large[:2], *large[-2:]]):
        name = needed[own]
        for there in weights:
            if there == name or there.endswith(f".{name}"):
                prefixes[there.removesuffix(name)] = None
    return list(prefixes)


def _place(
    prefix: str,
    needed: Mapping[str, str],
    wanted: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
) -> _Place:
    """What of a model stands behind a prefix."""
    names = {own: prefix + name for own, name in needed.items() if prefix + name in weights}
    reshaped = [own for own, there in names.items() if weights[there].shape != wanted[own].shape]
    fitting = len(_without_counters(names)) - len(_without_counters(reshaped))
    kinds = {_kind(name) for name in needed.values()}
    known = set(names.values())
    surplus = tuple(
        there
        for there, value in weights.items()
        if there.startswith(prefix)
        and there not in known
        and value.ndim > 1
        and there.endswith(".weight")
        and _kind(there.removeprefix(prefix)) in kinds
    )
    return _Place(prefix, names, fitting, tuple(reshaped), surplus)


def _without_counters(names: Iterable[str]) -> list[str]:
    """The names of weights, without the counters of BN layers."""
    return [name for name in names if not name.endswith(_COUNTER)]


def _kind(name: str) -> str:
    """A name without its numbers, which count layers and blocks."""
    return re.sub(r"\d+", "#", name)


def _is_whole(place: _Place, wanted: Mapping[str, Tensor]) -> bool:
    """Whether a place holds all of a model, and not a deeper one; counters may be missing."""
    return not place.surplus and place.fitting == len(_without_counters(wanted))


def _rank(prefix: str) -> int:
    """How early a prefix is chosen: averages that are published, then encoders, then their followers."""
    words = set(re.split(r"[._]", prefix))
    if words & _AVERAGES:
        return 0
    return 2 if words & _FOLLOWERS else 1


def _misfit(
    module: nn.Module, weights: Mapping[str, Tensor], name: str, source: str
) -> ConfigError:
    """The error of weights that are not those of a model: why, and of which model they are."""
    wanted, model = module.state_dict(), safe(name)
    needed = _without_counters(wanted)
    places = sorted(_places(module, weights), key=lambda place: -place.fitting)
    slight = bool(places) and places[0].fitting > _SLIGHT * len(needed) and not places[0].surplus
    other = "" if slight else _nearest_model(weights, name, related=bool(places))
    advice = f"they are those of {other}: give --model {other}, or " if other else ""
    advice += "give weights of the same model"
    if not weights:
        return ConfigError(f"{safe(source)} holds no tensor under a name; {advice}")
    if not places:
        some = " and ".join(f"'{safe(there, 60)}'" for there in list(weights)[:2])
        return ConfigError(
            f"{safe(source)} has none of the {len(needed)} weights of {model}, under any prefix; its "
            f"names are such as {some}; {advice}"
        )
    place = places[0]
    under = f" under '{safe(place.prefix, 80)}'" if place.prefix else ""
    missing = [own for own in needed if own not in place.names]
    if missing:
        why = f"lacks {count(len(missing), 'weight')}, such as {safe(missing[0], 80)}"
    elif place.reshaped:
        own = place.reshaped[0]
        there, here = tuple(weights[place.names[own]].shape), tuple(wanted[own].shape)
        why = f"has {count(len(place.reshaped), 'weight')} of another shape, such as {safe(own, 80)}: {there} there, {here} here"
    else:
        why = f"is of a deeper model: {count(len(place.surplus), 'weight')} more, such as {safe(place.surplus[0], 80)}"
    return ConfigError(
        f"{safe(source)} has {place.fitting} of the {len(needed)} weights of {model}{under}, and {why}; {advice}"
    )


def _nearest_model(weights: Mapping[str, Tensor], name: str, *, related: bool) -> str:
    """The model of timm that weights fit, or nothing.

    It is searched among the relatives of a model, the first where the names are `related`, and among
    those that are widespread.
    """
    if len(weights) < _FEWEST:
        return ""
    family = timm.list_models(f"{re.split('[0-9_]', name, maxsplit=1)[0]}*")
    models = [*family, *_WIDESPREAD] if related else [*_WIDESPREAD, *family]
    deadline = time.monotonic() + _SEARCH_S
    for model in dict.fromkeys(models):
        if model == name or not timm.is_model(model):
            continue
        if time.monotonic() > deadline:
            break
        try:
            with torch.device("meta"):
                module = timm.create_model(model, num_classes=0)
        except (
            RuntimeError,
            NotImplementedError,
            TypeError,
            ValueError,
        ):  # it computes in its making
            continue
        wanted = module.state_dict()
        if any(_is_whole(place, wanted) for place in _places(module, weights)):
            return model
    return ""
