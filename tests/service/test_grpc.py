"""The Open Inference Protocol over gRPC: the same answers, the same refusals."""

import gc
import re
import socket
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from service import settings
from service.messages import MESSAGES, SERVICE
from service.settings import Settings
from tests.fakes import Failing, Reader, Store, Wary, answer_to, picture, tell_novelty
from tests.servers import PATIENCE_S, Server, free_port, serving
from tests.service.conftest import BEARER, ROOT, SEVEN, TOKEN, Start
from tests.service.test_openinference import elements

NUMBERS = [3, 300, 4321]
PICTURES = np.stack([picture(number) for number in NUMBERS])
EXPECTED = np.stack([answer_to(number) for number in NUMBERS])

Call = Callable[..., Any]


@pytest.fixture
def ask(start: Start) -> Iterator[Callable[..., Call]]:
    """A service of one's own, and a caller of its methods: `ask(engine)("ServerLive")`."""
    channels = []

    def connect(*engine: Any, token: str = "", **settings: Any) -> Call:
        """With `token`, every call carries it; calls with a `request_id` carry that."""
        port = free_port()
        client = start(*engine, grpc_port=port, **settings)
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        channels.append(channel)

        def call(name: str, /, request_id: str = "", **fields: Any) -> Any:
            method = channel.unary_unary(
                f"/{SERVICE.full_name}/{name}",
                request_serializer=MESSAGES[f"{name}Request"].SerializeToString,
                response_deserializer=MESSAGES[f"{name}Response"].FromString,
            )
            metadata = [("authorization", f"Bearer {token}")] * bool(token)
            metadata += [("x-request-id", request_id)] * bool(request_id)
            answer, told = method.with_call(MESSAGES[f"{name}Request"](**fields), timeout=20, metadata=metadata)
            call.told = dict(told.trailing_metadata())  # type: ignore[attr-defined]
            return answer

        call.http = client  # type: ignore[attr-defined]
        return call

    yield connect
    for channel in channels:
        channel.close()


def test_bytes_that_are_no_message_are_refused_and_counted(start: Start) -> None:
    port = free_port()
    client = start(grpc_port=port)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(f"/{SERVICE.full_name}/ModelInfer")(b"\xff" * 4, timeout=20)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "expected: a ModelInferRequest" in error.details()
    assert 'route="grpc ModelInfer",status="400"' in client.get("/metrics").text


def test_a_refused_call_does_not_hold_its_version(ask: Callable[..., Call]) -> None:
    engine = Reader()
    call = ask(engine)
    refused(call, "INVALID_ARGUMENT", inputs=[tensor("BYTES", [1], contents={"bytes_contents": [b"xx"]})])
    (model,) = call.http.app_state["shared"].registry.models.values()  # type: ignore[attr-defined]
    gc.collect()  # what only holds itself is no matter: who sees a version off does this
    held = [each for each in gc.get_referrers(model.default) if isinstance(each, types.FrameType)]
    assert held == []


def tensor(datatype: str = "UINT8", shape: Any = (3, 28, 28, 1), **more: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": datatype, "shape": shape, **more}


def refused(call: Call, code: str, /, *words: str, method: str = "ModelInfer", **fields: Any) -> Any:
    name = "name" if method == "ModelMetadata" else "model_name"
    with pytest.raises(grpc.RpcError) as caught:
        call(method, **{name: "mnist", **fields})
    error: Any = caught.value
    assert error.code().name == code, error.details()
    for word in words:
        assert word in error.details()
    return error


def test_health_and_metadata(ask: Callable[..., Call]) -> None:
    call = ask()
    assert call("ServerLive").live
    assert call("ServerReady").ready
    assert call("ModelReady", name="mnist").ready
    assert call("ModelReady", name="mnist", version="1").ready
    assert not call("ModelReady", name="nope").ready
    assert not call("ModelReady", name="mnist", version="9").ready
    assert "classification" in call("ServerMetadata").extensions
    metadata = call("ModelMetadata", name="mnist")
    assert (metadata.name, list(metadata.versions)) == ("mnist", ["1"])
    assert (metadata.inputs[0].datatype, list(metadata.inputs[0].shape)) == ("UINT8", [-1, 28, 28, 1])
    assert (metadata.outputs[0].name, list(metadata.outputs[0].shape)) == ("probabilities", [-1, 10])
    (listed,) = call("RepositoryIndex").models
    assert (listed.name, listed.version, listed.state) == ("mnist", "1", "READY")


def test_scores_are_outputs_to_be_asked_for(ask: Callable[..., Call], store: Store) -> None:
    tell_novelty(store.add(1), 0.5)
    store.engines["mnist/1"] = Wary()
    call = ask(models=store.root)
    listed = call("ModelMetadata", name="mnist").outputs
    assert [(each.name, each.datatype) for each in listed] == [
        ("probabilities", "FP32"), ("novelty", "FP32"), ("recognized", "BOOL")
    ]  # fmt: skip
    pixels = np.stack([picture(5), picture(600)])
    values = {"inputs": [tensor(shape=(2, 28, 28, 1), contents={"uint_contents": pixels.ravel().tolist()})]}
    assert [each.name for each in call("ModelInfer", model_name="mnist", **values).outputs] == ["probabilities"]
    wanted = [{"name": "recognized"}, {"name": "novelty"}]
    answer = call("ModelInfer", model_name="mnist", outputs=wanted, **values)
    assert list(answer.outputs[0].contents.bool_contents) == [True, False]
    assert list(answer.outputs[1].contents.fp32_contents) == pytest.approx([0.005, 0.6])
    raw = {"inputs": [tensor(shape=(2, 28, 28, 1))], "raw_input_contents": [pixels.tobytes()]}
    told = call("ModelInfer", model_name="mnist", outputs=wanted, **raw).raw_output_contents
    assert told[0] == b"\1\0"
    np.testing.assert_allclose(np.frombuffer(told[1], np.float32), [0.005, 0.6])
    refused(call, "INVALID_ARGUMENT", "'novelty'", outputs=[{"name": "scores"}], **values)


def test_a_server_without_a_model_is_live_but_not_ready(ask: Callable[..., Call], tmp_path: Any) -> None:
    call = ask(models=tmp_path)
    assert call("ServerLive").live
    assert not call("ServerReady").ready


@pytest.mark.parametrize(
    ("datatype", "kind", "field"),
    [
        ("UINT8", "<u1", "uint_contents"),
        ("INT32", "<i4", "int_contents"),
        ("UINT64", "<u8", "uint64_contents"),
        ("INT64", "<i8", "int64_contents"),
        ("FP32", "<f4", "fp32_contents"),
        ("FP64", "<f8", "fp64_contents"),
        ("FP16", "<f2", None),
    ],
)
def test_numbers_raw_and_as_values_are_answered_in_the_same_form(
    ask: Callable[..., Call], datatype: str, kind: str, field: str | None
) -> None:
    call = ask(Reader())
    data = PICTURES.astype(kind)
    answer = call(
        "ModelInfer", model_name="mnist", id="42", inputs=[tensor(datatype)], raw_input_contents=[data.tobytes()]
    )
    assert (answer.id, answer.model_name, answer.model_version) == ("42", "mnist", "1")
    np.testing.assert_array_equal(np.frombuffer(answer.raw_output_contents[0], "<f4").reshape(3, 10), EXPECTED)
    if field is not None:
        given = tensor(datatype, contents={field: data.ravel().tolist()})
        (output,) = call("ModelInfer", model_name="mnist", model_version="1", inputs=[given]).outputs
        assert (output.datatype, list(output.shape)) == ("FP32", [3, 10])
        np.testing.assert_array_equal(np.float32(output.contents.fp32_contents).reshape(3, 10), EXPECTED)


def test_files_are_answered_as_by_our_own_route(ask: Callable[..., Call], client: TestClient) -> None:
    call = ask()
    (own,) = client.post("/predict", content=SEVEN).json()["predictions"]
    raw = call("ModelInfer", model_name="mnist", inputs=[tensor("BYTES", [1])], raw_input_contents=[elements(SEVEN)])
    np.testing.assert_allclose(np.frombuffer(raw.raw_output_contents[0], "<f4"), own["probabilities"], rtol=1e-6)
    given = tensor("BYTES", [1], contents={"bytes_contents": [SEVEN]})
    outputs = [{"name": "probabilities", "parameters": {"classification": {"int64_param": 1}}}]
    (output,) = call("ModelInfer", model_name="mnist", inputs=[given], outputs=outputs).outputs
    assert (output.datatype, list(output.shape)) == ("BYTES", [1, 1])
    assert output.contents.bytes_contents[0].endswith(b":7:7")


def test_refusals(ask: Callable[..., Call]) -> None:
    call = ask(Reader(), max_pictures=3)
    raw = [PICTURES.tobytes()]
    good = {"inputs": [tensor()], "raw_input_contents": raw}
    refused(call, "NOT_FOUND", "nope", **{**good, "model_name": "nope"})
    refused(call, "NOT_FOUND", **good, model_version="99")
    refused(call, "INVALID_ARGUMENT", **good, model_version="one")
    refused(call, "INVALID_ARGUMENT", "none")
    refused(call, "INVALID_ARGUMENT", inputs=[tensor(), tensor()], raw_input_contents=raw * 2)
    refused(call, "INVALID_ARGUMENT", "other", inputs=[{**tensor(), "name": "other"}], raw_input_contents=raw)
    refused(call, "INVALID_ARGUMENT", "2 raw", inputs=[tensor()], raw_input_contents=raw * 2)
    refused(call, "INVALID_ARGUMENT", "contents", **{**good, "inputs": [tensor(contents={"uint_contents": [1]})]})
    refused(call, "INVALID_ARGUMENT", "2,352", inputs=[tensor()], raw_input_contents=[b"x"])
    refused(call, "INVALID_ARGUMENT", inputs=[tensor()])
    refused(call, "INVALID_ARGUMENT", "[-1", inputs=[tensor(shape=[-1, 784])], raw_input_contents=raw)
    refused(call, "INVALID_ARGUMENT", inputs=[tensor(shape=[1] * 1000)], raw_input_contents=raw)
    refused(call, "INVALID_ARGUMENT", "at most 3", inputs=[tensor(shape=[10**9, 784])], raw_input_contents=raw)
    refused(call, "INVALID_ARGUMENT", "BOOL", inputs=[tensor("BOOL")], raw_input_contents=raw)
    refused(call, "INVALID_ARGUMENT", "round(255", inputs=[tensor("FP32", [1, 784], contents={"fp32_contents": [0.5] * 784})])  # fmt: skip # noqa: E501
    refused(call, "INVALID_ARGUMENT", "other", **good, outputs=[{"name": "other"}])
    refused(call, "INVALID_ARGUMENT", **good, outputs=[{"name": "probabilities"}] * 2)
    refused(call, "INVALID_ARGUMENT", **good, parameters={"prepare": {"string_param": "maybe"}})
    refused(call, "INVALID_ARGUMENT", **good, parameters={"prepare": {"int64_param": 1}})
    negative = {"name": "probabilities", "parameters": {"classification": {"int64_param": -1}}}
    refused(call, "INVALID_ARGUMENT", **good, outputs=[negative])


def test_a_message_beyond_the_cap_a_full_queue_and_a_failing_network(ask: Callable[..., Call]) -> None:
    call = ask(Failing(), max_body_bytes=10_000)
    refused(call, "RESOURCE_EXHAUSTED", inputs=[tensor()], raw_input_contents=[bytes(10_000)])
    bad = refused(call, "INTERNAL", inputs=[tensor(shape=[1, 784])], raw_input_contents=[picture(666).tobytes()])
    assert "secret" not in bad.details()
    http: Any = call.http  # type: ignore[attr-defined]
    http.app_state["shared"].registry.get("mnist", None).batcher.max_queue = 0
    full = refused(call, "UNAVAILABLE", inputs=[tensor()], raw_input_contents=[PICTURES.tobytes()])
    assert int(dict(full.trailing_metadata())["grpc-retry-pushback-ms"]) >= 1000


def test_calls_are_counted(ask: Callable[..., Call]) -> None:
    call = ask(Reader())
    call("ModelInfer", model_name="mnist", inputs=[tensor()], raw_input_contents=[PICTURES.tobytes()])
    refused(call, "NOT_FOUND", model_name="nope")
    refused(call, "INVALID_ARGUMENT", model_name="mnist", inputs=[tensor()], raw_input_contents=[b"x"])
    page = call.http.get("/metrics").text  # type: ignore[attr-defined]
    assert re.search(r'requests_total\{model="mnist",route="grpc ModelInfer",status="200",version="1"\} 1', page)
    assert re.search(r'requests_total\{model="",route="grpc ModelInfer",status="404",version=""\} 1', page)
    assert re.search(r'requests_total\{model="mnist",route="grpc ModelInfer",status="400",version="1"\} 1', page)


def test_models_are_loaded_and_unloaded_by_those_who_may(ask: Callable[..., Call], store: Store) -> None:
    store.add(1)
    closed, guarded = ask(models=store.root), ask(models=store.root, admin_token=TOKEN)
    for method in ("RepositoryModelLoad", "RepositoryModelUnload"):
        refused(closed, "PERMISSION_DENIED", "CONVOLVE_ADMIN_TOKEN", method=method)
        refused(guarded, "UNAUTHENTICATED", "token", method=method)
    call = ask(models=store.root, admin_token=TOKEN, token=TOKEN, poll_s=3600)
    call("RepositoryModelUnload", model_name="mnist", parameters={"unload_dependents": {"bool_param": False}})
    assert not call("ServerReady").ready
    assert [model.state for model in call("RepositoryIndex").models] == ["UNAVAILABLE"]
    call("RepositoryModelLoad", model_name="mnist")
    assert call("ModelReady", name="mnist", version="1").ready
    refused(call, "NOT_FOUND", "invented", method="RepositoryModelLoad", model_name="invented")
    config = {"config": {"string_param": "{}"}}
    refused(call, "INVALID_ARGUMENT", "config", method="RepositoryModelLoad", parameters=config)
    (store.root / "mnist" / "1" / "saved_model.pb").unlink()
    call("RepositoryModelUnload", model_name="mnist")
    refused(call, "FAILED_PRECONDITION", "no such file", method="RepositoryModelLoad")


def test_answers_can_be_labelled_later(ask: Callable[..., Call], store: Store, tmp_path: Path) -> None:
    store.add(1)
    call = ask(models=store.root, admin_token=TOKEN, feedback=tmp_path / "kept", workers=1)
    question = {"model_name": "mnist", "inputs": [tensor()], "raw_input_contents": [PICTURES.tobytes()]}
    names = []
    for named in ({"request_id": "mine"}, {"id": "42"}, {"id": "no id, but text"}):
        call("ModelInfer", **question, **named)
        names.append(call.told["x-request-id"])  # type: ignore[attr-defined]
    assert names[:2] == ["mine", "42"]
    for picture_, name in enumerate(names):
        said = {"request_id": name, "picture": picture_, "label": "7"}
        assert call.http.post("/feedback", json=said, headers=BEARER).status_code == 204  # type: ignore[attr-defined]
    assert len(list(tmp_path.glob("kept/mnist/labelled/7/*.png"))) == 3


def test_an_error_of_ours_is_logged_once_and_told_without_its_reasons(
    ask: Callable[..., Call], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    call = ask(Reader())

    def broken(*_: object) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr("service.inference.describe", broken)
    error = refused(call, "INTERNAL", "on our side", method="ModelMetadata")
    assert "secret" not in error.details()
    (logged,) = [record for record in caplog.records if record.exc_info]
    assert "secret" in str(logged.exc_info)
    page = call.http.get("/metrics").text  # type: ignore[attr-defined]
    assert re.search(r'requests_total\{model="mnist",route="grpc ModelMetadata",status="500",version="1"\} 1', page)


def test_the_compiled_messages_are_those_of_the_definition() -> None:
    text = (ROOT / "service" / "inference.proto").read_text()
    written = re.findall(r"^\s+(?:repeated |map<.*>|\S+ )*?(\w+) = (\d+);", text, re.MULTILINE)
    found = []

    def walk(message: Any) -> None:
        found.extend((field.name, str(field.number)) for field in message.fields)
        for nested in message.nested_types:
            if not nested.GetOptions().map_entry:
                walk(nested)

    for message in SERVICE.file.message_types_by_name.values():
        walk(message)
    assert sorted(found) == sorted(written)
    assert {method.name for method in SERVICE.methods} == set(re.findall(r"rpc (\w+)\(", text))


def test_it_is_off_by_default_and_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().grpc_port is None
    monkeypatch.setattr(settings, "find_spec", lambda name: None)
    with pytest.raises(ValidationError, match="the extra grpc"):
        Settings(grpc_port=8001)


def test_an_address_of_ipv6_is_listened_on() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    port = free_port()
    with (
        serving("--workers", "1", "--host", "::", "--grpc-port", str(port)),
        grpc.insecure_channel(f"[::1]:{port}") as channel,
    ):
        live = channel.unary_unary(
            f"/{SERVICE.full_name}/ServerLive",
            request_serializer=MESSAGES["ServerLiveRequest"].SerializeToString,
            response_deserializer=MESSAGES["ServerLiveResponse"].FromString,
        )
        assert live(MESSAGES["ServerLiveRequest"](), timeout=PATIENCE_S).live


def test_limits_beyond_what_grpc_knows_are_no_reason_not_to_start() -> None:
    limits = ("--max-body-bytes", "3000000000", "--max-queue", "3000000000")
    with serving("--workers", "1", "--grpc-port", str(free_port()), *limits) as server:
        assert server.ask("GET", "/health/ready")[0] == 200


def test_a_port_in_use_is_one_clear_line() -> None:
    port = free_port()
    with serving("--workers", "2", "--grpc-port", str(port)):
        server = Server("--workers", "2", "--grpc-port", str(port))
        said = server.last_words()
        assert server.process.returncode == 1
    assert f"gRPC can not listen on 127.0.0.1, port {port}" in said
    assert "Traceback" not in said
