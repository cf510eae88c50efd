"""The server against its own document: whatever is sent, it answers what it says it answers, and never with a 500."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis.errors import Unsatisfiable
from schemathesis import CheckContext, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from sovereign_pbx.rest import described
from tests.api.rest import serving_rest

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))  # for each operation and mode
SCHEMA = schemathesis.openapi.from_dict(described())
# Parameters of somebody else's (a tracking mark, a newer client's) are ignored, as HTTP servers do.
SCHEMA.config.generation.update(allow_extra_parameters=False)
FOUND = [found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)]
OPERATIONS = {
    operation.label: operation for operation in FOUND if "Alias" not in operation.definition.raw["operationId"]
}

_SETTINGS = hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def no_fault(context: CheckContext, response: Response, case: Any) -> None:
    """Nothing that is sent may break the server."""
    refusal = response.status_code == 501 and set(case.operation.definition.raw["responses"]) & {"501"}
    assert response.status_code < 500 or refusal, response.text


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, str]]:
    """An API in a thread of its own: (address, key)."""
    told: dict[str, Any] = {}
    ready = threading.Event()
    over = asyncio.Event()

    async def run() -> None:
        told["loop"] = asyncio.get_running_loop()
        async with serving_rest(folder, http={"requests_per_minute": 1_000_000}) as api:
            told.update(address=api.address, key=api.key)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="fuzzed-api")
    thread.start()
    try:
        assert ready.wait(20)
        yield told["address"], told["key"]
    finally:
        told["loop"].call_soon_threadsafe(over.set)
        thread.join()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    with running(tmp_path_factory.mktemp("fuzz")) as told:
        yield told


@pytest.fixture(autouse=True)
def nothing_left_behind() -> None:
    """The server in its thread lets connections go in its own time, so there is nothing to count after each test."""


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_as_documented(api: tuple[str, str], label: str, mode: GenerationMode) -> None:
    address, key = api

    @given(case=OPERATIONS[label].as_strategy(mode))
    @_SETTINGS
    def fuzz(case: Any) -> None:
        case.call_and_validate(
            base_url=address,
            headers={"Authorization": f"Bearer {key}"},
            # Rules between fields, references to other objects: what a schema can't say may be refused. And what can't
            # be on a PBX of one's own says so with 501, which is no fault.
            excluded_checks=[positive_data_acceptance, not_a_server_error],
            additional_checks=[no_fault],
            timeout=10,
        )

    try:
        fuzz()
    except Unsatisfiable:
        pytest.skip("nothing about this request could be wrong")
