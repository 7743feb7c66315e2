"""The messages of inference.proto, for whatever version of protobuf there is. Needs the extra `grpc`.

Generated classes would be tied to one version, and to one pool for all of a process. What is compiled here is the
description alone.
"""

from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorSet

COMPILED = Path(__file__).parent / "inference.binpb"
"""Made by `make proto`."""


def read() -> Any:
    """The one service that the file describes, its methods and their messages with it."""
    pool = descriptor_pool.DescriptorPool()
    for file in FileDescriptorSet.FromString(COMPILED.read_bytes()).file:
        pool.Add(file)
    return pool.FindServiceByName("inference.GRPCInferenceService")


SERVICE = read()
MESSAGES: dict[str, Any] = {
    message.name: message_factory.GetMessageClass(message)
    for method in SERVICE.methods
    for message in (method.input_type, method.output_type)
}
"""Class of each question and each answer, by name."""
