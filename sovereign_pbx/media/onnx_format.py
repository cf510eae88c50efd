"""As much of the ONNX file format as it takes to read a model's weights and to write a small graph around them.

ONNX is protocol buffers (onnx.proto3); the field numbers below are its own. Reading keeps named float tensors only,
wherever they lie; writing knows float and int64 tensors and integer attributes.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_FLOAT, _INT64 = 1, 7  # TensorProto.DataType
_INT, _INTS = 2, 7  # AttributeProto.AttributeType
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_DEEPEST: Final = 12
_OPSET: Final = 16
_IR_VERSION: Final = 8

Field = tuple[int, int | memoryview]


# --- reading


def read_weights(model: bytes) -> dict[str, NDArray[np.float32]]:
    """The float tensors of `model` by name, those in the branches of conditions included. Raises ValueError."""
    weights: dict[str, NDArray[np.float32]] = {}
    for number, value in _fields(memoryview(model)):
        if number == 7 and isinstance(value, memoryview):
            _read_graph(value, weights, 0)
    return weights


def _read_graph(graph: memoryview, weights: dict[str, NDArray[np.float32]], depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError("graphs nested too deep")
    for number, value in _fields(graph):
        if isinstance(value, memoryview):
            if number == 1:
                _read_node(value, weights, depth)
            elif number == 5:
                _read_tensor(value, "", weights)


def _read_node(node: memoryview, weights: dict[str, NDArray[np.float32]], depth: int) -> None:
    """A Constant node names its tensor by its output; other nodes may hold graphs."""
    fields = list(_fields(node))
    outputs = [bytes(value).decode() for number, value in fields if number == 2 and isinstance(value, memoryview)]
    for number, attribute in fields:
        if number == 5 and isinstance(attribute, memoryview):
            for inner, value in _fields(attribute):
                if inner == 5 and isinstance(value, memoryview) and outputs:
                    _read_tensor(value, outputs[0], weights)
                elif inner == 6 and isinstance(value, memoryview):
                    _read_graph(value, weights, depth + 1)


def _read_tensor(tensor: memoryview, name: str, weights: dict[str, NDArray[np.float32]]) -> None:
    """Keep the tensor under `name`, else its own: tensors of two branches may call themselves alike."""
    dims: list[int] = []
    kind, raw = 0, memoryview(b"")
    for number, value in _fields(tensor):
        if number == 1:
            dims += _integers(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8 and isinstance(value, memoryview):
            name = name or bytes(value).decode()
        elif number == 9 and isinstance(value, memoryview):
            raw = value
    if any(size > len(raw) for size in dims):  # a float has four bytes, so no whole tensor has
        raise ValueError("a tensor larger than its content")
    if kind == _FLOAT and len(raw):
        weights[name] = np.frombuffer(raw, dtype="<f4").reshape(dims).astype(np.float32)


def _integers(value: int | memoryview) -> list[int]:
    """A repeated integer field: one value, or packed together."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found


def _fields(message: memoryview) -> Iterator[Field]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == _LENGTH:
            size, at = _varint(message, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"unknown wire type {wire}")
        if at + size > len(message):
            raise ValueError("cut short")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("cut short")


# --- writing


class GraphWriter:
    """Collects nodes and tensors in order, then gives the bytes of a model. Names tie outputs to inputs."""

    def __init__(self) -> None:
        self._body = b""
        self._constants = 0

    def constant(self, values: NDArray[np.float32] | Sequence[int]) -> str:
        """A tensor that is part of the model: floats as given, integers as int64. Returns its name."""
        kind = _FLOAT if isinstance(values, np.ndarray) else _INT64
        array = np.ascontiguousarray(values, dtype="<f4" if kind == _FLOAT else "<i8")
        name = f"constant_{self._constants}"
        self._constants += 1
        dims = b"".join(_number(1, size) for size in array.shape)
        self._body += _part(5, dims + _number(2, kind) + _text(8, name) + _part(9, array.tobytes()))
        return name

    def node(self, operator: str, inputs: Sequence[str], *outputs: str, **attributes: int) -> str:
        """Apply an operator. Returns its first output's name. "" stands for an input or output left out."""
        body = b"".join(_text(1, name) for name in inputs) + b"".join(_text(2, name) for name in outputs)
        body += _text(4, operator)
        for name, value in attributes.items():
            body += _part(5, _text(1, name) + _number(3, value) + _number(20, _INT))
        self._body += _part(1, body)
        return outputs[0]

    def model(self, inputs: dict[str, list[int | str]], outputs: dict[str, list[int | str]]) -> bytes:
        """The file. `inputs` and `outputs` are float tensors with their shapes; a named size is free."""
        graph = self._body + _text(2, "graph")
        graph += b"".join(_part(11, _tensor_info(name, shape)) for name, shape in inputs.items())
        graph += b"".join(_part(12, _tensor_info(name, shape)) for name, shape in outputs.items())
        return _number(1, _IR_VERSION) + _part(8, _number(2, _OPSET)) + _part(7, graph)


def _tensor_info(name: str, shape: list[int | str]) -> bytes:
    dims = b"".join(_part(1, _text(2, size) if isinstance(size, str) else _number(1, size)) for size in shape)
    return _text(1, name) + _part(2, _part(1, _number(1, _FLOAT) + _part(2, dims)))


def _number(field: int, value: int) -> bytes:
    return _encoded(field << 3 | _VARINT) + _encoded(value)


def _text(field: int, text: str) -> bytes:
    return _part(field, text.encode())


def _part(field: int, content: bytes) -> bytes:
    return _encoded(field << 3 | _LENGTH) + _encoded(len(content)) + content


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
