"""Silero VAD's own arithmetic at 16 kHz, laid out for many calls at once.

The published graph runs its convolutions call by call, over rows of four steps, where the processor idles. Here each
is one matrix product over all calls, with the very weights of the published file: 53 µs a window becomes 16 µs, and
the scores agree to 1e-6. Shapes below: n calls; 576 samples give 4 spectra of 129 bins; an LSTM of 128 cells.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sovereign_pbx.media.onnx_format import GraphWriter, read_weights

_SAMPLES: Final = 576
_FRAME, _HOP, _FRAMES, _BINS = 256, 128, 4, 129
_EDGE: Final = 64  # samples mirrored behind the end; every stretch is whole blocks of so many
_CELLS: Final = 128
_BRANCH: Final = "then_branch"  # the published graph chooses between 16 kHz (then) and 8 kHz (else)

Weights = dict[str, NDArray[np.float32]]


def batched_graph(model: bytes) -> bytes:
    """An ONNX model with inputs `input` (n, 576) and `state` (2, n, 128), outputs `output` (n, 1) and `stateN`.

    Raises ValueError or KeyError where `model` is not a Silero VAD of the generation known here (v5, v6).
    """
    weights = _weights(model)
    graph = GraphWriter()
    spectra = _spectra(graph, weights)
    first = _convolution(graph, weights, 0, spectra, _BINS, steps=4, stride=1)
    second = _convolution(graph, weights, 1, first, 128, steps=4, stride=2)
    third = _convolution(graph, weights, 2, second, 64, steps=2, stride=2)
    fourth = _convolution(graph, weights, 3, third, 64, steps=1, stride=1)
    _decoder(graph, weights, fourth)
    shapes: dict[str, list[int | str]] = {"input": ["n", _SAMPLES], "state": [2, "n", _CELLS]}
    return graph.model(shapes, {"output": ["n", 1], "stateN": [2, "n", _CELLS]})


def _weights(model: bytes) -> Weights:
    """By the names their authors gave them: what follows the inlining marks of the exporter."""
    found: Weights = {}
    for name, value in read_weights(model).items():
        if _BRANCH in name and "__" in name:
            found[name.rsplit("__", 1)[1]] = value
    if found["stft.forward_basis_buffer"].shape != (2 * _BINS, 1, _FRAME):
        raise ValueError("a transform of another size")
    return found


def _spectra(graph: GraphWriter, weights: Weights) -> str:
    """Magnitudes, (4 n, 129). The signal's last 64 samples are mirrored behind its end for the fourth frame."""
    mirrored = graph.constant(range(_SAMPLES - 2, _SAMPLES - 2 - _EDGE, -1))
    edge = graph.node("Gather", ["input", mirrored], "edge", axis=1)
    padded = graph.node("Concat", ["input", edge], "padded", axis=1)
    starts = range(0, _FRAMES * _HOP, _HOP)
    rows = _stretches(graph, padded, "frame", block=_EDGE, width=_FRAME, starts=starts)
    basis = graph.constant(weights["stft.forward_basis_buffer"][:, 0, :].T)
    waves = graph.node("MatMul", [rows, basis], "waves")
    squares = graph.node("Mul", [waves, waves], "squares")
    graph.node("Split", [squares, graph.constant([_BINS, _BINS])], "real", "imaginary", axis=1)
    return graph.node("Sqrt", [graph.node("Add", ["real", "imaginary"], "power")], "magnitudes")


def _convolution(
    graph: GraphWriter, weights: Weights, number: int, rows: str, channels: int, *, steps: int, stride: int
) -> str:
    """Convolution of width 3 over `steps` rows a call (zeros at both ends), then ReLU: (steps n / stride, filters).

    Rows of one call lie one behind the other, so three steps are one stretch of 3 · `channels` numbers.
    """
    name = f"encoder{number}"
    kernel = weights[f"encoder.{number}.reparam_conv.weight"]
    matrix = kernel.transpose(2, 1, 0)
    if steps == 1:  # its neighbours are the zeros at the ends: only the middle tap counts
        windows, matrix = rows, matrix[1]
    else:
        flat = graph.node("Reshape", [rows, graph.constant([-1, steps * channels])], f"{name}_flat")
        padded = graph.node("Pad", [flat, graph.constant([0, channels, 0, channels])], f"{name}_padded")
        starts = range(0, steps * channels, stride * channels)
        windows = _stretches(graph, padded, name, block=channels, width=3 * channels, starts=starts)
        matrix = matrix.reshape(3 * channels, -1)
    bias = graph.constant(weights[f"encoder.{number}.reparam_conv.bias"])
    product = graph.node("Gemm", [windows, graph.constant(matrix), bias], f"{name}_product")
    return graph.node("Relu", [product], f"{name}_out")


def _stretches(graph: GraphWriter, rows: str, name: str, *, block: int, width: int, starts: Sequence[int]) -> str:
    """Cut each row into overlapping stretches of `width` from each of `starts`: (n, …) to (n · starts, width).

    Done in whole blocks: gathering single numbers would cost more than the product that follows.
    """
    blocks = graph.node("Reshape", [rows, graph.constant([0, -1, block])], f"{name}_blocks")
    order = [(start + at) // block for start in starts for at in range(0, width, block)]
    gathered = graph.node("Gather", [blocks, graph.constant(order)], f"{name}_gathered", axis=1)
    return graph.node("Reshape", [gathered, graph.constant([-1, width])], f"{name}_windows")


def _decoder(graph: GraphWriter, weights: Weights, rows: str) -> None:
    """One step of the LSTM, and the probability from its hidden state."""
    zero = graph.constant([0])
    graph.node("Split", ["state", graph.constant([1, 1])], "hidden", "cell", axis=0)
    step = graph.node("Unsqueeze", [rows, zero], "step")
    biases = np.concatenate([_gates(weights[f"decoder.rnn.bias_{side}"]) for side in ("ih", "hh")])
    inputs = [step, *(graph.constant(_gates(weights[f"decoder.rnn.weight_{side}"])[None]) for side in ("ih", "hh"))]
    inputs += [graph.constant(biases[None]), "", "hidden", "cell"]
    graph.node("LSTM", inputs, "", "hidden_next", "cell_next", hidden_size=_CELLS)
    graph.node("Concat", ["hidden_next", "cell_next"], "stateN", axis=0)
    seen = graph.node("Relu", [graph.node("Squeeze", ["hidden_next", zero], "hidden_rows")], "seen")
    matrix = graph.constant(weights["decoder.decoder.2.weight"][0])
    score = graph.node("Gemm", [seen, matrix, graph.constant(weights["decoder.decoder.2.bias"])], "score")
    graph.node("Sigmoid", [score], "output")


def _gates(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """From PyTorch's order of gates (input, forget, cell, output) to ONNX's (input, output, forget, cell)."""
    in_, forget, cell, out = np.split(weight, 4)
    return np.concatenate((in_, out, forget, cell))
