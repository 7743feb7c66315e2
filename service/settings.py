"""Every knob of the service. Read once at start, frozen, and passed on as an argument."""

import math
import os
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, PositiveInt, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, CliApp, SettingsConfigDict

PREFIX = "CONVOLVE_"
ELSEWHERE = frozenset({"CONVOLVE_DATA", "CONVOLVE_URL"})
"""Variables with our prefix that other parts of the project read."""
TOGETHER = 2
"""Threads that compute for a worker whose neighbours rest: a small network gains little from more."""
LEAST_TOKEN = 16
"""Characters that nobody guesses."""
DAY_S = 86_400
"""Nothing here takes longer; and none of it may take for ever."""


class Settings(BaseSettings):
    """Flags (`--max-batch 32`) win over environment variables (`CONVOLVE_MAX_BATCH=32`), those over the defaults."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        cli_prog_name="python -m service",
        cli_kebab_case=True,
        cli_avoid_json=True,
        cli_hide_none_type=True,
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    workers: int = Field(
        default=0, ge=0, le=1024, description="Processes that answer; 0 is one for each processor core."
    )
    grpc_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port for the Open Inference Protocol over gRPC, which needs the extra grpc.",
    )
    models: Path = Field(default=Path("models"), description="Folder with the models: <name>/<version>/.")
    poll_s: float = Field(
        default=1.0,
        gt=0,
        le=DAY_S,
        description="Seconds between two looks at that folder: new versions, changed policies.",
    )
    apply_s: float = Field(
        default=60.0, gt=0, le=DAY_S, description="Seconds that a change by hand waits for all workers, at most."
    )
    admin_token: SecretStr | None = Field(
        default=None,
        description="Opens what changes the service: `Authorization: Bearer …`, 16 characters or more. Without one, "
        "that stays closed.",
    )
    feedback: Path | None = Field(
        default=None,
        description="Folder for pictures to train on: unsure, flagged and corrected ones. Without one, none is kept.",
    )
    feedback_below: float = Field(
        default=0.8, ge=0, le=1, description="Probability of the class found, below which a picture counts as unsure."
    )
    feedback_pictures: int = Field(
        default=10_000, ge=1_000, description="Pictures that are kept, at most; the oldest go."
    )
    feedback_bytes: PositiveInt = Field(default=256 * 1024 * 1024, description="Bytes that they may take, at most.")
    feedback_days: float = Field(default=90.0, gt=0, description="Days that a picture is kept, at most.")
    default_model: str = Field(default="mnist", description="Model that answers where a call names none.")
    engine: Literal["openvino", "tensorflow"] = Field(
        default="openvino", description="What computes; tensorflow must be installed for the second."
    )
    precision: Literal["auto", "f32", "bf16", "int8"] = Field(
        default="auto",
        description="Arithmetic to compute in; auto is the fastest that costs a version at most 0.02 % of accuracy.",
    )
    threads: int = Field(
        default=0,
        ge=0,
        description="Threads that compute in each worker; 0 shares the cores out, and lends those that rest.",
    )
    max_batch: PositiveInt = Field(default=64, description="Pictures that are computed at once, at most.")
    max_queue: PositiveInt = Field(
        default=8192, description="Pictures that wait in each worker, at most; beyond, callers get 503 at once."
    )
    max_pictures: PositiveInt = Field(default=4096, description="Pictures in one call, at most.")
    max_body_bytes: PositiveInt = Field(default=32 * 1024 * 1024, description="Bytes of one request body, at most.")
    max_pixels: PositiveInt = Field(
        default=25_000_000, description="Width times height of one picture, at most; checked before it is decoded."
    )
    deadline_ms: PositiveInt = Field(
        default=10_000, description="Milliseconds after which a picture that still waits is given up, with 504."
    )
    body_s: float = Field(
        default=30.0,
        gt=0,
        le=DAY_S,
        description="Seconds in which a request's head must have arrived, and then its body.",
    )
    drain_s: float = Field(
        default=3.0,
        ge=0,
        le=DAY_S,
        description="Seconds from SIGTERM until the port closes; readiness is red and calls are still answered.",
    )
    stop_s: PositiveInt = Field(default=5, description="Seconds that accepted calls then have to finish.")
    hang_s: float = Field(
        default=30.0,
        gt=0,
        le=DAY_S,
        description="Seconds without a sign of life after which a worker ends itself, to be replaced.",
    )
    inside: bool = Field(
        default=True, description="Whether the network may be looked into: /inside and /models/NAME/versions/V/network."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged."
    )

    @field_validator("admin_token")
    @classmethod
    def header_can_carry_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token) < LEAST_TOKEN:
            raise ValueError(f"expected at least {LEAST_TOKEN} characters, found {len(token)}")
        if token is not None and not re.fullmatch(r"[!-~][ -~]*[!-~]", token.get_secret_value()):
            raise ValueError("a header can not carry it: expected letters of ASCII, digits and signs")
        return token

    @field_validator("grpc_port")
    @classmethod
    def grpc_is_there(cls, port: int | None) -> int | None:
        if port is not None and not (find_spec("grpc") and find_spec("google") and find_spec("google.protobuf")):
            raise ValueError("grpcio and protobuf are not installed: they are the extra grpc")
        return port

    @model_validator(mode="after")
    def queue_holds_a_call(self) -> Self:
        if self.max_queue < self.max_pictures:
            raise ValueError(
                f"max_queue ({self.max_queue}) must be at least max_pictures ({self.max_pictures}),"
                " or the largest calls could never be taken"
            )
        return self

    @model_validator(mode="after")
    def ports_differ(self) -> Self:
        if self.grpc_port is not None and self.grpc_port == self.port:
            raise ValueError(f"grpc_port and port must differ: both are {self.port}")
        return self

    @model_validator(mode="after")
    def feedback_is_not_in_the_store(self) -> Self:
        if self.feedback is not None and self.feedback.resolve().is_relative_to(self.models.resolve()):
            raise ValueError(f"feedback ({self.feedback}) must not lie inside models ({self.models})")
        return self

    @property
    def cores(self) -> int:
        """Processor cores that this process may use, a container's limit included."""
        return max(1, int(min(len(os.sched_getaffinity(0)), quota())))

    @property
    def processes(self) -> int:
        """Workers that are really started."""
        return self.workers or self.cores

    @property
    def threads_each(self) -> int:
        """Computing threads that each worker really gets."""
        return self.threads or max(1, self.cores // self.processes)

    @property
    def threads_spare(self) -> int:
        """Computing threads that a worker gets beyond those while all others rest."""
        return 0 if self.threads else max(0, min(self.cores, TOGETHER) - self.threads_each)

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Self:
        """Settings from flags and environment.

        Raises:
            SystemExit: Unknown flag, or `--help`.
            pydantic.ValidationError: A value that its field does not take.
        """
        return CliApp.run(cls, cli_args=list(argv))


def quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Processor cores that the control group grants: `docker run --cpus`. Infinite where there is no limit."""
    try:
        if (root / "cpu.max").is_file():  # version 2: both numbers in one file
            granted, period = (root / "cpu.max").read_text().split()
        else:
            granted, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        cores = int(granted) / int(period)
    except (OSError, ValueError):  # no control group, or "max"
        return math.inf
    return cores if cores > 0 else math.inf


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables with our prefix that nobody reads: most likely misspelt."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | ELSEWHERE
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
