"""Answers requests: pictures in, class probabilities out. Never imports training."""

import sys

__version__ = "0.1.0"

# Imported, OpenVINO reports to Google Analytics, unasked, from every worker. Without this module it keeps to itself.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
