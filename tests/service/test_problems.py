"""Every error has a status."""

import pytest
from starlette.testclient import TestClient

from service import errors, problems
from service.errors import ServiceError
from tests.fakes import Reader
from tests.service.conftest import Start

EXPECTED = {
    "BadBody": 400, "BadQuery": 400, "EmptyBody": 400, "SlowBody": 408, "UnsupportedMediaType": 415, "BadPicture": 400,
    "UnsupportedPicture": 415, "WrongShape": 400, "BodyTooLarge": 413, "PictureTooLarge": 413, "TooManyPictures": 413,
    "OpaqueNetwork": 422, "AdminClosed": 403,
    "UnknownModel": 404, "UnknownVersion": 404, "QueueFull": 503, "Draining": 503, "NotReady": 503,
    "UnknownRequest": 404, "FeedbackOff": 403,
    "WrongToken": 401, "ReadOnlyStore": 409, "VersionRefused": 409, "PolicyRefused": 409, "NothingBefore": 409,
    "BadPolicy": 500, "StoreFull": 507, "NotEverywhere": 504,
    "DeadlineExceeded": 504, "EngineError": 500, "BadManifest": 500, "BadVersion": 500,
}  # fmt: skip


def test_the_table_knows_the_whole_family() -> None:
    leaves = {kind.__name__ for kind in ServiceError.family()} - {
        "ServiceError", "CallerError", "Conflict", "TooLarge", "Overload", "ModelError"
    }  # fmt: skip
    assert leaves == EXPECTED.keys()


@pytest.mark.parametrize("kind", list(ServiceError.family()), ids=lambda kind: kind.__name__)
def test_every_class_becomes_a_problem_of_its_status(kind: type[ServiceError]) -> None:
    problem = problems.describe(kind("what happened", expected="this", found="that", fix="so"))
    assert problem["status"] == EXPECTED.get(kind.__name__, problem["status"])
    assert problem["detail"] == "what happened"
    assert problem["type"].startswith("urn:convolve:problem:")


def test_a_callers_mistake_says_how_to_mend_it_and_our_own_keeps_its_reasons() -> None:
    mistake = problems.describe(errors.WrongShape("x", expected="28", found="27", fix="add one"))
    assert (mistake["expected"], mistake["found"], mistake["fix"]) == ("28", "27", "add one")
    assert "found" not in problems.describe(errors.EngineError("x", found="a secret"))


def test_a_refusal_for_now_says_when_to_come_back() -> None:
    response = problems.respond(errors.QueueFull("full", retry_after_s=7))
    assert (response.status_code, response.headers["retry-after"]) == (503, "7")


def test_the_tree_at_the_top_of_the_file_lists_every_class() -> None:
    for kind in ServiceError.family():
        assert kind.__name__ in str(errors.__doc__)


@pytest.mark.parametrize(
    ("method", "path", "broken", "form"),
    [
        ("GET", "/v1/models", "service.registry.Registry.standings", "application/json"),
        ("POST", "/v1/models/mnist:predict", "service.road.find", "application/json"),
        ("POST", "/v2/models/mnist/infer", "service.road.find", "application/json"),
        ("POST", "/v2/repository/index", "service.registry.Registry.standings", "application/json"),
        ("POST", "/predict", "service.registry.Registry.get", "application/problem+json"),
        ("GET", "/models", "service.registry.Registry.standings", "application/problem+json"),
    ],
)
def test_an_error_of_ours_is_logged_once_and_told_in_the_dialects_own_form(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    method: str, path: str, broken: str, form: str,
) -> None:  # fmt: skip
    client = start(Reader())

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(broken, fail)
    response = client.request(method, path)
    assert (response.status_code, response.headers["content-type"]) == (500, form)
    assert response.headers["x-request-id"]
    if form == "application/json":
        assert response.json() == {"error": "something went wrong on our side"}
    else:
        assert (response.json()["status"], response.json()["detail"]) == (500, "something went wrong on our side")
    (logged,) = [record for record in caplog.records if record.exc_info]
    assert "secret" in str(logged.exc_info)


def test_why_a_version_is_refused_is_said_in_words() -> None:
    error = errors.BadVersion("/srv/models/mnist/3 holds another", expected="mnist 3", found="mnist 2", fix="move it")
    assert error.reason == "BadVersion: expected mnist 3, found mnist 2"


DEEP = b"[" * 1_000 + b"]" * 1_000
"""As JSON may nest, and deeper than Python writes out what nests."""
V2 = "/v2/models/mnist/infer"
INPUT = b'"name":"image","datatype":"UINT8","shape":[1,784],"data":[0]'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", b'{"image":%b}'),
        ("/predict", b'{"images":[%b]}'),
        ("/predict", b"%b"),
        *((V2, b'{"inputs":[{"%b":%%b}]}' % name) for name in (b"name", b"datatype", b"parameters")),
        (V2, b'{"inputs":[{"name":%b},{"name":%b}]}'),
        (V2, b'{"inputs":[{"name":"image","datatype":%b,"shape":[1],"data":[0]}]}'),
        (V2, b'{"inputs":[{"name":"image","datatype":"UINT8","shape":%b,"data":[0]}]}'),
        (V2, b'{"inputs":[{"name":"image","datatype":"UINT8","shape":[1,784],"data":%b}]}'),
        (V2, b'{"inputs":[{"name":"image","parameters":{"binary_data_size":%b}}]}'),
        *((V2, b'{"inputs":[{' + INPUT + b'}],"' + name + b'":%b}') for name in (b"id", b"outputs", b"parameters")),
        (V2, b'{"inputs":[{' + INPUT + b'}],"outputs":[{"name":%b}]}'),
        (V2, b'{"inputs":[{' + INPUT + b'}],"outputs":[{"name":"probabilities","parameters":{"classification":%b}}]}'),
        (V2, b'{"inputs":[{' + INPUT + b'}],"parameters":{"prepare":%b}}'),
        (V2, b'{"inputs":[{' + INPUT + b'}],"parameters":{"binary_data_output":%b}}'),
        ("/v2/repository/index", b'{"ready":%b}'),
        ("/v1/models/mnist:predict", b'{"signature_name":%b,"instances":[0]}'),
        ("/v1/models/mnist:predict", b'{"instances":%b}'),
        ("/v1/models/mnist:predict", b'{"instances":[{"b64":%b}]}'),
        ("/v1/models/mnist:classify", b'{"examples":[%b]}'),
        ("/v1/models/mnist:classify", b'{"examples":[{"image":{"b64":%b}}]}'),
    ],
)
def test_what_nests_deeply_is_refused_and_not_written_out(client: TestClient, path: str, body: bytes) -> None:
    response = client.post(path, content=body.replace(b"%b", DEEP))
    assert response.status_code == 400, response.text
    assert len(response.content) < 1_000
