import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereign_pbx.media.onnx_format import GraphWriter, read_weights


def doubled_plus(bias: np.ndarray) -> bytes:
    graph = GraphWriter()
    twice = graph.node("Add", ["x", "x"], "twice")
    graph.node("Concat", [graph.node("Add", [twice, graph.constant(bias)], "sum"), "x"], "y", axis=1)
    return graph.model({"x": ["n", 3]}, {"y": ["n", 6]})


def test_the_runtime_runs_what_is_written() -> None:
    options = onnxruntime.SessionOptions()
    session = onnxruntime.InferenceSession(doubled_plus(np.array([1, 2, 3], np.float32)), options)
    (found,) = session.run(None, {"x": np.array([[10, 20, 30], [0, 0, 0]], np.float32)})
    assert found.tolist() == [[21, 42, 63, 10, 20, 30], [1, 2, 3, 0, 0, 0]]


def test_weights_are_read_back_with_their_shapes() -> None:
    graph = GraphWriter()
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    name = graph.constant(values)
    graph.constant([1, 2, 3])  # integers are no weights
    weights = read_weights(graph.model({"x": [1]}, {"y": [1]}))
    assert list(weights) == [name]
    assert (weights[name] == values).all() and weights[name].shape == (2, 3, 4)


@given(st.binary(max_size=300))
def test_what_is_no_model_is_a_value_error_or_has_no_weights(content: bytes) -> None:
    try:
        assert isinstance(read_weights(content), dict)
    except ValueError:
        pass


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_damaged_model_never_raises_anything_but_a_value_error(at: int, value: int) -> None:
    model = bytearray(doubled_plus(np.ones(50, np.float32)))
    model[at % len(model)] = value
    try:
        read_weights(bytes(model))
    except ValueError:
        pass


def test_a_model_cut_short_is_a_value_error() -> None:
    model = doubled_plus(np.ones(50, np.float32))
    with pytest.raises(ValueError, match="cut short"):
        read_weights(model[:-5])
