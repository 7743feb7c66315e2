"""The OpenAPI document: true of what is answered, and whole."""

import json
import re
from typing import Any

import pytest
from starlette.testclient import TestClient

PIXELS = [0] * 784
TENSOR = {"name": "image", "datatype": "UINT8", "shape": [1, 784], "data": PIXELS}
KINDS: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": int | float,
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}
"""What JSON Schema calls what Python's JSON gives."""


@pytest.fixture
def document(client: TestClient) -> Any:
    return client.get("/openapi.json").json()


def check(value: Any, schema: dict[str, Any], document: Any, where: str = "$") -> list[str]:
    """What of a value its schema does not describe: other kinds, missing fields, and fields that it does not name."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if forms := schema.get("anyOf", schema.get("oneOf")):
        return min((check(value, each, document, where) for each in forms), key=len)
    if "type" in schema and not isinstance(value, KINDS[schema["type"]]):
        return [f"{where} is no {schema['type']}"]
    wrong = []
    if isinstance(value, dict) and "properties" in schema:
        wrong += [f"{where}.{name} is missing" for name in schema.get("required", ()) if name not in value]
        for name, inner in value.items():
            known = schema["properties"].get(name)
            inside = f"{where}.{name}"
            wrong += [f"{inside} is not named"] if known is None else check(inner, known, document, inside)
    elif isinstance(value, dict) and isinstance(schema.get("additionalProperties"), dict):
        for name, inner in value.items():
            wrong += check(inner, schema["additionalProperties"], document, f"{where}.{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            wrong += check(inner, schema.get("items", {}), document, f"{where}[{index}]")
    return wrong


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/predict?include=seen", {"images": [PIXELS, "bad"]}),
        ("GET", "/models", None),
        ("GET", "/models/{name}", None),
        ("GET", "/models/{name}/history", None),
        ("GET", "/models/{name}/versions/{version}/network?weights=fc_2", None),
        ("POST", "/inside?layers=fc_2", {"image": PIXELS}),
        ("POST", "/inside/occlusion?patch=28&stride=28", {"image": PIXELS}),
        ("GET", "/health/ready", None),
        ("GET", "/examples", None),
        ("GET", "/v1/models", None),
        ("GET", "/v1/models/{name}", None),
        ("GET", "/v1/models/{name}/versions/{version}", None),
        ("GET", "/v1/models/{name}/metadata", None),
        ("POST", "/v1/models/{name}:predict", {"instances": [PIXELS]}),
        ("POST", "/v1/models/{name}:classify", {"examples": [{"image": PIXELS}]}),
        ("GET", "/v2", None),
        ("GET", "/v2/health/live", None),
        ("GET", "/v2/health/ready", None),
        ("GET", "/v2/models/{name}", None),
        ("GET", "/v2/models/{name}/versions/{version}/ready", None),
        ("POST", "/v2/models/{name}/infer", {"id": "a", "inputs": [TENSOR]}),
        ("POST", "/v2/repository/index", None),
        ("POST", "/v2/repository/index", {"ready": True}),
    ],
)
def test_what_is_answered_is_what_the_document_says(
    client: TestClient, document: Any, method: str, path: str, body: Any
) -> None:
    operation = document["paths"][path.partition("?")[0]][method.lower()]
    answer = client.request(method, path.format(name="mnist", version=1), json=body)
    assert answer.status_code == 200, answer.text
    assert check(answer.json(), operation["responses"]["200"]["content"]["application/json"]["schema"], document) == []
    asked = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    assert body is None or (asked and check(body, asked, document) == [])


def test_it_asks_the_server_that_it_comes_from_under_any_path(document: Any) -> None:
    assert [each["url"] for each in document["servers"]] == ["."]


def test_it_describes_predict(document: Any) -> None:
    predict = document["paths"]["/predict"]["post"]
    assert {"image/*", "multipart/form-data", "application/json"} <= predict["requestBody"]["content"].keys()
    parameters = {parameter["name"]: parameter["schema"] for parameter in predict["parameters"]}
    assert parameters.keys() == {"model", "version", "label", "top", "prepare", "include", "feedback"}
    assert parameters["include"] == {"enum": ["seen"]}
    assert {"200", "400", "404", "413", "415", "503", "504"} <= predict["responses"].keys()


def test_it_says_what_is_answered_instead(document: Any) -> None:
    references = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert references <= document["components"]["schemas"].keys()
    assert {"Problem", "Status"} <= references
    for path, operations in document["paths"].items():
        for operation in operations.values():
            wrong = [answer for status, answer in operation["responses"].items() if int(status) >= 400]
            kinds = {kind for answer in wrong for kind in answer["content"]}
            assert kinds <= {"application/json" if path.startswith(("/v1", "/v2")) else "application/problem+json"}
            right = operation["responses"].get("200", {}).get("content", {})
            assert all(right.values()), path
            assert all(form["schema"] for kind, form in right.items() if kind == "application/json"), path
    promote = document["paths"]["/models/{name}/promote"]["post"]
    assert promote["security"] == [{"HTTPBearer": []}]
    assert {"400", "401", "403", "404", "409", "504"} <= promote["responses"].keys()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert ("401" in operation["responses"]) == ("security" in operation), path
    for operation in (promote, document["paths"]["/feedback"]["post"]):
        assert {"408", "413", "415", "503"} <= operation["responses"].keys()


def test_what_may_be_left_out_has_no_default_of_null(document: Any) -> None:
    """Generators of clients take a field with a default for one that is always there."""
    assert '"default": null' not in json.dumps(document)
    assert "version" in document["components"]["schemas"]["Target"]["properties"]
