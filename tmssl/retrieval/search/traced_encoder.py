"""An encoder as the list of tensor operations it performs on one image.

Building a timm model imports timm and, through torchvision, torch's compiler, which takes longer than
everything else a search does. Replaying a recording needs torch alone. It is data, not code: names of
torch's own operations, whose arguments are tensors, numbers and truth values, so no file that
somebody else made can do anything but compute.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from tmssl.errors import InputError
from tmssl.text import safe

_WORDS = ("none", "tanh")  # the only text that an operation is given: how GELU is computed
_FIXED: dict[str, torch.dtype | torch.device | torch.layout] = {
    "float32": torch.float32,
    "bool": torch.bool,
    "int64": torch.int64,
    "cpu": torch.device("cpu"),
    "strided": torch.strided,
}
FORMAT = "1"  # raise it when a step is written differently

# A step: the name of what it makes, the operation, its arguments and keyword arguments. An argument
# is plain, or a list of them, or {"of": name} for what an earlier step, the image or a weight is, or {"fixed": name}.
Step = tuple[str, str, list[Any], dict[str, Any]]


class UntraceableError(Exception):
    """An encoder does something that is not written down here; it works, but only through timm."""


class TracedEncoder:
    """Recorded operations with their weights, to be called like the encoder."""

    def __init__(
        self, steps: list[Step], image: str, result: str, tensors: Mapping[str, Tensor]
    ) -> None:
        """Look every operation up.

        Args:
            steps: in their order.
            image: name under which they know the image.
            result: name of what they make in the end.
            tensors: weights by name.

        Raises:
            InputError: an operation is none of torch's.
        """
        self._steps = [(name, _operation(said), args, named) for name, said, args, named in steps]
        self._image, self._result, self._tensors = image, result, dict(tensors)

    def __call__(self, view: Tensor) -> Tensor:
        """Features (1, f) of a view, float32 (1, 3, s, s)."""
        values = self._tensors | {self._image: view}
        for name, operation, args, named in self._steps:
            values[name] = operation(
                *(_value(arg, values) for arg in args),
                **{key: _value(arg, values) for key, arg in named.items()},
            )
        return values[self._result]


def trace_encoder(encoder: nn.Module, image_size: int) -> bytes:
    """A recording of an encoder for one image of a size, as a safetensors file.

    Raises:
        UntraceableError: it cannot be written down in this form.
    """
    try:
        with torch.no_grad():
            exported = torch.export.export(
                encoder.cpu().eval(), (torch.zeros(1, 3, image_size, image_size),)
            )
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        raise UntraceableError(safe(error, 200)) from error
    signature = exported.graph_signature
    places = dict(signature.inputs_to_parameters) | dict(signature.inputs_to_buffers)
    places |= dict(signature.inputs_to_lifted_tensor_constants)
    held: dict[str, Any] = {**exported.state_dict, **exported.constants}
    tensors = {name: held[place].detach().clone().contiguous() for name, place in places.items()}
    steps = [
        (node.name, _name(node.target), _plain(list(node.args)), _plain(dict(node.kwargs)))
        for node in exported.graph.nodes
        if node.op == "call_function"
    ]
    (image,), (result,) = signature.user_inputs, signature.user_outputs
    told = {"format": FORMAT, "image": image, "result": result, "steps": json.dumps(steps)}
    return save(tensors, metadata=told)


def load_traced_encoder(path: Path) -> TracedEncoder:
    """A kept recording.

    Raises:
        InputError: it is missing, damaged or of another format.
    """
    try:
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        if told["format"] != FORMAT:
            raise ValueError(f"format {told['format']}")
        return TracedEncoder(json.loads(told["steps"]), told["image"], told["result"], tensors)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{safe(path)} is damaged ({safe(error, 100)}); remove it and search again"
        ) from error


_ON_FILES = ("from_file",)  # a foreign recording shall compute, and nothing else


def _name(target: Any) -> str:
    """`conv2d.default`, or `getitem` for an item of several results."""
    if isinstance(target, torch._ops.OpOverload) and target.namespace == "aten":
        return str(target).removeprefix("aten.")
    if getattr(target, "__name__", "") == "getitem":
        return "getitem"
    raise UntraceableError(f"it calls {safe(target, 100)}")


def _operation(said: str) -> Any:
    """The operation of a name."""
    if said == "getitem":
        return _item
    name, _, overload = said.partition(".")
    if name in _ON_FILES:
        raise ValueError(f"operation {name} works on files")
    try:
        return getattr(getattr(torch.ops.aten, name), overload)
    except AttributeError as error:
        raise ValueError(f"unknown operation {safe(said, 60)}") from error


def _item(values: Any, place: int) -> Any:
    """One of several results."""
    return values[place]


def _plain(argument: Any) -> Any:
    """An argument as JSON."""
    if isinstance(argument, torch.fx.Node):
        return {"of": argument.name}
    if isinstance(argument, list | tuple):
        return [_plain(item) for item in argument]
    if isinstance(argument, dict):
        return {name: _plain(item) for name, item in argument.items()}
    for name, fixed in _FIXED.items():
        if type(argument) is type(fixed) and argument == fixed:
            return {"fixed": name}
    if argument is None or isinstance(argument, bool | int | float) or argument in _WORDS:
        return argument
    raise UntraceableError(f"it passes {safe(argument, 100)}")


def _value(argument: Any, values: Mapping[str, Any]) -> Any:
    """An argument with what earlier steps made."""
    if isinstance(argument, dict):
        return _FIXED[argument["fixed"]] if "fixed" in argument else values[argument["of"]]
    if isinstance(argument, str) and argument not in _WORDS:
        raise InputError(
            f"a recorded encoder passes '{safe(argument, 60)}'; remove it and search again"
        )
    if isinstance(argument, list):
        return [_value(item, values) for item in argument]
    return argument
