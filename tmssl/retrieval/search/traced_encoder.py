"""An encoder as the list of tensor operations that it performs on one image.

Building a timm model imports timm and, through torchvision, torch's compiler, which takes longer than
the rest of a search. Replaying a trace needs torch alone. A trace is data, not code: names of torch's own
operations, and tensors, numbers and truth values as their arguments, so a foreign file can only compute.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from tmssl.errors import InputError
from tmssl.files import unicode_path
from tmssl.retrieval.index.digests import check_digest
from tmssl.text import safe
from tmssl.training.checkpoints.payload import MISFITS

FORMAT = "1"  # raise it when a step is written differently
# The only text that an operation takes: how GELU is computed, and how edges are padded.
_STRINGS = ("none", "tanh", "constant")
_CONSTANTS: dict[str, torch.dtype | torch.device | torch.layout] = {
    "float32": torch.float32,
    "bool": torch.bool,
    "int64": torch.int64,
    "cpu": torch.device("cpu"),
    "strided": torch.strided,
}
_REFUSED = ("from_file",)  # operations on files

# A step: the name of its result, the operation, its arguments and keyword arguments. An argument is plain,
# or a list of arguments, or {"of": name of a result, weight or the image}, or {"fixed": name of a constant}.
Step = tuple[str, str, list[Any], dict[str, Any]]


class UntraceableError(Exception):
    """The encoder does something that a trace cannot hold; it works, but only through timm."""


class TracedEncoder:
    """Traced operations with their weights, to be called like the encoder."""

    def __init__(
        self, steps: list[Step], image: str, result: str, tensors: Mapping[str, Tensor]
    ) -> None:
        """Look every operation up.

        Args:
            steps: in their order.
            image: name of the image in them.
            result: name of the features in them.
            tensors: weights by name.

        Raises:
            ValueError: an operation is none of torch's, or works on files.
        """
        self._steps = [
            (name, _operation(operation), args, kwargs) for name, operation, args, kwargs in steps
        ]
        self._image, self._result, self._tensors = image, result, dict(tensors)

    def __call__(self, view: Tensor) -> Tensor:
        """Features (1, f) of a view, float32 (1, 3, s, s).

        Raises:
            InputError: an argument is of no kind that a trace holds, or the steps do not fit together.
        """
        values = self._tensors | {self._image: view}
        try:
            for name, operation, args, kwargs in self._steps:
                values[name] = operation(
                    *(_resolve(arg, values) for arg in args),
                    **{key: _resolve(arg, values) for key, arg in kwargs.items()},
                )
            features: Tensor = values[self._result]
            if features.ndim != 2 or len(features) != 1 or not features.is_floating_point():
                raise ValueError(f"it gives {tuple(features.shape)} for an image")
        except MISFITS as error:
            raise InputError(
                f"the traced encoder of the run is damaged ({safe(error, 100)}); remove "
                "index/*.encoder from its folder and search again"
            ) from error
        return features


def trace_encoder(encoder: nn.Module, image_size: int) -> bytes:
    """A trace of an encoder for one image of a size, as a safetensors file.

    Raises:
        UntraceableError: a trace cannot hold the encoder.
    """
    try:
        with torch.no_grad():
            view = torch.zeros(1, 3, image_size, image_size)
            exported = torch.export.export(encoder.cpu().eval(), (view,))
    except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
        raise UntraceableError(safe(error, 200)) from error
    signature = exported.graph_signature
    sources = dict(signature.inputs_to_parameters) | dict(signature.inputs_to_buffers)
    sources |= dict(signature.inputs_to_lifted_tensor_constants)
    state: dict[str, Any] = {**exported.state_dict, **exported.constants}
    tensors = {name: state[key].detach().clone().contiguous() for name, key in sources.items()}
    steps = [
        (node.name, _operation_name(node.target), _to_json([*node.args]), _to_json({**node.kwargs}))
        for node in exported.graph.nodes
        if node.op == "call_function"
    ]
    (image,), (result,) = signature.user_inputs, signature.user_outputs
    metadata = {
        "format": FORMAT,
        "image": image,
        "result": result,
        "steps": json.dumps(steps, allow_nan=False),
    }
    return save(tensors, metadata=metadata)


def load_traced_encoder(path: Path) -> TracedEncoder:
    """The trace in a file.

    Raises:
        InputError: it is missing, damaged or of another format.
    """
    try:
        check_digest(path)
        with unicode_path(path) as name, safe_open(name, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        if metadata["format"] != FORMAT:
            raise ValueError(f"format {metadata['format']}")
        steps = msgspec.json.decode(metadata["steps"], type=list[Step])
        return TracedEncoder(steps, metadata["image"], metadata["result"], tensors)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{safe(path)} is damaged ({safe(error, 100)}); remove it and search again"
        ) from error


def _operation_name(target: Any) -> str:
    """`conv2d.default`, or `getitem` for an item of several results."""
    if isinstance(target, torch._ops.OpOverload) and target.namespace == "aten":
        return str(target).removeprefix("aten.")
    if getattr(target, "__name__", "") == "getitem":
        return "getitem"
    raise UntraceableError(f"it calls {safe(target, 100)}")


def _operation(name: str) -> Any:
    """The operation of a name."""
    if name == "getitem":
        return lambda values, place: values[place]
    packet, _, overload = name.partition(".")
    if packet in _REFUSED:
        raise ValueError(f"operation {packet} works on files")
    try:
        return getattr(getattr(torch.ops.aten, packet), overload)
    except AttributeError as error:
        raise ValueError(f"unknown operation {safe(name, 60)}") from error


def _to_json(argument: Any) -> Any:
    """An argument of a traced operation as JSON."""
    if isinstance(argument, torch.fx.Node):
        return {"of": argument.name}
    if isinstance(argument, list | tuple):
        return [_to_json(item) for item in argument]
    if isinstance(argument, dict):
        return {name: _to_json(item) for name, item in argument.items()}
    for name, constant in _CONSTANTS.items():
        if type(argument) is type(constant) and argument == constant:
            return {"fixed": name}
    if argument is None or isinstance(argument, bool | int | float) or argument in _STRINGS:
        return argument
    raise UntraceableError(f"it passes {safe(argument, 100)}")


def _resolve(argument: Any, values: Mapping[str, Any]) -> Any:
    """An argument from JSON, with the values of the names in it."""
    if isinstance(argument, dict):
        return _CONSTANTS[argument["fixed"]] if "fixed" in argument else values[argument["of"]]
    if isinstance(argument, str) and argument not in _STRINGS:
        raise InputError(
            f"a traced encoder passes '{safe(argument, 60)}'; remove it and search again"
        )
    if isinstance(argument, list):
        return [_resolve(item, values) for item in argument]
    return argument
