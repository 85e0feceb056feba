"""A released model, loaded, warmed up and ready to run."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from schemas.errors import ModelLoadError
from schemas.events import ModelVersion

# Its names are not exported in a way that type checkers accept.
_ORT: Any = onnxruntime

OUTPUTS = ("mask", "confidence", "entropy")
PATIENCE_SECONDS = 60.0
_DTYPES = (np.uint8, np.float32, np.float32)


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model says of a batch.

    Attributes
    ----------
    mask : (N, H, W) uint8
        Most probable class of each pixel, 0 is background.
    confidence : (N, H, W) float32
        Probability of that class.
    entropy : (N, H, W) float32
        Entropy of the class probabilities divided by its maximum, 0 to 1.
    """

    mask: NDArray[np.uint8]
    confidence: NDArray[np.float32]
    entropy: NDArray[np.float32]


class ModelSession:
    """A model version in memory.

    Parameters
    ----------
    version : ModelVersion
        What was loaded.
    session : onnxruntime.InferenceSession
        The graph with its weights.
    keep : object
        Kept alive as long as the session, which may refer to its memory.
    """

    def __init__(self, version: ModelVersion, session: Any, keep: object) -> None:
        self.version = version
        self._session = session
        self._keep = keep
        self._input = session.get_inputs()[0].name

    def run(self, images: NDArray[np.float32], options: Any = None) -> Predictions:
        """Judge a batch; thread-safe, and other Python threads run meanwhile.

        Parameters
        ----------
        images : (N, H, W) float32
            Prepared frames; H and W are multiples of the version's ``size_multiple``.
        options : onnxruntime.RunOptions or None
            By which another thread can end the run.
        """
        mask, confidence, entropy = self._session.run(list(OUTPUTS), {self._input: images[:, None]}, options)
        return Predictions(mask, confidence, entropy)

    def give_back(self) -> None:
        """Return to the system the memory that runs took, while other Python threads run.

        When the session is freed, that would hold the interpreter for as long as it takes.
        """
        options = _ORT.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        side = self.version.size_multiple
        self.run(np.zeros((1, side, side), np.float32), options)


Weights: TypeAlias = Mapping[str, Any]
"""Values of onnxruntime, by initializer; each keeps the array that it refers to."""


def read_weights(version: ModelVersion, path: Path) -> Weights:
    """Read a version's weights.

    Raises
    ------
    ModelLoadError
        If the file cannot be read.
    """
    try:
        # One at a time: reading all of them at once stops every other thread for as long.
        with safe_open(path, framework="numpy") as file:
            return {name: _ORT.OrtValue.ortvalue_from_numpy(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise _refused(version, error) from error


class SessionLoader:
    """Builds sessions one at a time: concurrent creation races in onnxruntime.

    Parameters
    ----------
    intra_op_threads : int
        Threads of one model run.
    warmup_shape : (int, int)
        Rows and columns of the frames that a new session is tried on.
    patience_seconds : float
        Longest run of a new session on one frame: a graph may hold loops.
    """

    def __init__(
        self, intra_op_threads: int, warmup_shape: tuple[int, int], *, patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._threads = intra_op_threads
        self._patience_seconds = patience_seconds
        self._warmup_shape = warmup_shape
        self._lock = threading.Lock()

    def load(self, version: ModelVersion, graph: Path, weights: Path) -> ModelSession:
        """Build a session and try it out.

        Raises
        ------
        ModelLoadError
            As :meth:`build` and :meth:`try_out` do.
        """
        session = self.build(version, graph, read_weights(version, weights))
        self.try_out(session)
        return session

    def build(self, version: ModelVersion, graph: Path, weights: Weights) -> ModelSession:
        """Join a graph with a version's weights.

        Loading from paths keeps other threads running; loading from bytes
        stops them for tens of milliseconds.

        Raises
        ------
        ModelLoadError
            If the files cannot be read or do not fit each other.
        """
        with self._lock:
            try:
                options = self._options()
                options.add_external_initializers(list(weights), list(weights.values()))
                # Without its fallback, which prints to stdout and tries the same provider once more.
                native = _ORT.InferenceSession(
                    str(graph), options, providers=["CPUExecutionProvider"], enable_fallback=0
                )
            except (OSError, ValueError, RuntimeError) as error:
                raise _refused(version, error) from error
            except Exception as error:
                # onnxruntime's own errors share no base class but Exception.
                if type(error).__module__.startswith("onnxruntime"):
                    raise _refused(version, error) from error
                raise
        _check_input(version, native.get_inputs())
        return ModelSession(version, native, weights)

    def _options(self) -> Any:
        options = _ORT.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # Each session has an arena of its own, which goes as a whole when the session is replaced. Without it, each run
        # asks the heap, and the first frames after a swap wait for pages.
        options.enable_cpu_mem_arena = True
        # The first run of a shape would plan its memory and the second take it anew: a frame would wait for that, or
        # a session be tried out twice. From the arena, runs without a plan are as fast.
        options.enable_mem_pattern = False
        # Threads that spin between runs would take the core on which frames are decoded.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        return options

    def try_out(self, session: ModelSession) -> None:
        """Run a session once on an empty frame.

        Raises
        ------
        ModelLoadError
            If that gives anything but finite outputs of the agreed shapes and types.
        """
        multiple = session.version.size_multiple
        rows, columns = (-(-side // multiple) * multiple for side in self._warmup_shape)
        images = np.zeros((1, rows, columns), np.float32)
        options = _ORT.RunOptions()
        watchdog = threading.Timer(self._patience_seconds, setattr, (options, "terminate", True))
        watchdog.daemon = True
        watchdog.start()
        try:
            predictions = session.run(images, options)
        except Exception as error:
            raise _refused(session.version, error) from error
        finally:
            watchdog.cancel()
        found: tuple[NDArray[Any], ...] = (predictions.mask, predictions.confidence, predictions.entropy)
        for name, array, dtype in zip(OUTPUTS, found, _DTYPES, strict=True):
            if array.shape != images.shape or array.dtype != dtype:
                msg = f"output {name} is {array.dtype} {array.shape}, expected {np.dtype(dtype)} {images.shape}"
                raise _refused(session.version, msg)
            if not np.isfinite(array).all():
                raise _refused(session.version, f"output {name} is not finite")
        if predictions.mask.max() >= len(session.version.classes):
            raise _refused(session.version, "the mask has values that are no class")


def _check_input(version: ModelVersion, inputs: Sequence[Any]) -> None:
    if len(inputs) != 1:
        raise _refused(version, f"the graph has {len(inputs)} inputs, not one")
    shape = inputs[0].shape
    fixed = [axis for axis in (0, 2, 3) if axis < len(shape) and isinstance(shape[axis], int)]
    if len(shape) != len("NCHW") or fixed:
        raise _refused(version, f"the graph takes {shape}; batch, rows and columns must be free")


def _refused(version: ModelVersion, cause: object) -> ModelLoadError:
    return ModelLoadError(f"{version.model.name} v{version.model.version} cannot be loaded: {cause}")
