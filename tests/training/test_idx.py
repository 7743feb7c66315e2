import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from training import idx
from training.datasets import Pixels
from training.errors import TrainingError
from training.idx import Idx

PIXELS = np.arange(3 * 4 * 5, dtype=np.uint8)
CONTENT = bytes.fromhex("00000803 00000003 00000004 00000005") + PIXELS.tobytes()
VALIDATION_SHA256 = "c4a10bc222c7ebf38da952a80a0bb3931afd4effe83e0f2204b47bf6f7d4b099"
IDX = Idx("tiny-images-idx3-ubyte", hashlib.sha256(CONTENT).hexdigest(), (3, 4, 5))


def read(folder: Path) -> Pixels:
    content, where = idx.read_file(folder, IDX.name, IDX.size)
    return idx.check(content, IDX, where)


def test_plain_and_gzipped_files_give_the_same_pixels(tmp_path: Path) -> None:
    (tmp_path / f"{IDX.name}.gz").write_bytes(gzip.compress(CONTENT))
    packed = read(tmp_path)
    (tmp_path / IDX.name).write_bytes(CONTENT)
    np.testing.assert_array_equal(read(tmp_path), packed)
    np.testing.assert_array_equal(packed, PIXELS.reshape(3, 4, 5))


def test_missing_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"lacks tiny-images-idx3-ubyte: .* found neither; .*--data"):
        read(tmp_path)


def test_truncated_file_is_named_with_both_sizes(tmp_path: Path) -> None:
    (tmp_path / IDX.name).write_bytes(CONTENT[:-10])
    with pytest.raises(TrainingError, match=r"tiny-images-idx3-ubyte is truncated: expected 76 bytes .* found 66"):
        read(tmp_path)


def test_truncated_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / f"{IDX.name}.gz").write_bytes(gzip.compress(CONTENT)[:-12])
    with pytest.raises(TrainingError, match=r"ubyte\.gz is truncated: expected a whole gzip file"):
        read(tmp_path)


def test_archive_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / f"{IDX.name}.gz").write_bytes(CONTENT)
    with pytest.raises(TrainingError, match=r"ubyte\.gz can not be read: Not a gzipped file"):
        read(tmp_path)


def test_longer_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    (tmp_path / f"{IDX.name}.gz").write_bytes(gzip.compress(CONTENT + bytes(1_000_000)))
    assert len(idx.read_file(tmp_path, IDX.name, IDX.size)[0]) == 77
    with pytest.raises(TrainingError, match=r"is too long: expected 76 bytes .* found more"):
        read(tmp_path)


def test_other_count_is_told_from_the_header(tmp_path: Path) -> None:
    (tmp_path / IDX.name).write_bytes(CONTENT.replace(b"\0\0\0\x03", b"\0\0\0\x02", 1))
    with pytest.raises(
        TrainingError, match=r"expected the header 0000080300000003\w+ \(3 × 4 × 5\), found 00000803000000"
    ):
        read(tmp_path)


def test_changed_pixel_is_told_by_both_checksums(tmp_path: Path) -> None:
    changed = CONTENT[:-1] + b"\xff"
    (tmp_path / IDX.name).write_bytes(changed)
    found = hashlib.sha256(changed).hexdigest()
    with pytest.raises(TrainingError, match=f"expected SHA-256 {IDX.sha256}, found {found}"):
        read(tmp_path)


@pytest.mark.tensorflow
def test_download_gives_the_same_bytes_as_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_archive(tmp_path, monkeypatch, PIXELS.reshape(3, 4, 5))
    assert idx.download((IDX,))[0][0] == CONTENT


@pytest.mark.tensorflow
def test_pickles_in_a_download_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_archive(tmp_path, monkeypatch, np.array([{}], dtype=object))
    with pytest.raises(TrainingError, match=r"can not be downloaded .*allow_pickle=False.*--data"):
        idx.download((IDX,))


@pytest.mark.tensorflow
def test_failing_download_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    def fail(*_: object, **__: object) -> str:
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.utils, "get_file", fail)
    with pytest.raises(TrainingError, match=r"can not be downloaded .*URL fetch failure; point --data"):
        idx.download((IDX,))


def serve_archive(folder: Path, monkeypatch: pytest.MonkeyPatch, array: np.ndarray) -> None:
    import keras

    np.savez(folder / "mnist.npz", x=array)
    monkeypatch.setattr(keras.utils, "get_file", lambda *_, **__: str(folder / "mnist.npz"))
    monkeypatch.setattr(idx, "NPZ_KEYS", ("x",))


@pytest.mark.mnist
def test_mnist_is_what_its_docstring_says(mnist_folder: Path) -> None:
    data = idx.load_mnist(mnist_folder)
    assert data.train.pictures.shape == (55_000, 28, 28, 1)
    assert data.test.pictures.shape == (10_000, 28, 28, 1)
    assert data.train.pictures.dtype == data.train.labels.dtype == np.uint8
    assert data.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    published = np.concatenate([data.train.pictures, data.validation.pictures])
    assert published.mean() / 255 == pytest.approx(0.13066, abs=1e-5)


@pytest.mark.mnist
def test_validation_part_of_mnist_is_the_same_for_good(mnist_folder: Path) -> None:
    validation = idx.load_mnist(mnist_folder).validation
    assert len(validation) == 5_000
    assert np.bincount(validation.labels).tolist() == [494, 562, 496, 511, 487, 452, 493, 522, 487, 496]
    assert hashlib.sha256(validation.pictures.tobytes()).hexdigest() == VALIDATION_SHA256
