"""Nothing that is read can run code: no pickle, and model files are opened where it is said here only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("schemas", "memory", "stream", "inference", "learner", "benchmarks")
UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {"torch.save", "torch.jit.load", "torch.package", "torch.hub.load", "yaml.load", "eval", "exec"}
MAY_SPREAD_JOBS = {"learner/lab/spreading.py"}
"""Its workers talk to it alone; what they find is written and read as JSON."""
MAY_OPEN_MODELS = {"inference/session.py", "learner/export.py", "benchmarks/peers/served/segmenter.py"}


def unsafe(code: str, *, may_open_models: bool = False, may_spread_jobs: bool = False) -> Iterator[str]:
    """Yield what a module does that runs code it reads, or opens a model file."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            refused = UNSAFE_MODULES - ({"joblib"} if may_spread_jobs else set())
            yield from (f"imports {name}" for name in names if name.split(".")[0] in refused)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            options = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if called in UNSAFE_CALLS:
                yield called
            if called == "torch.load" and options.get("weights_only") != "True":
                yield "torch.load without weights_only=True"
            if options.get("allow_pickle", "False") != "False":
                yield f"{called} with allow_pickle"
            if called.endswith("InferenceSession") and not may_open_models:
                yield called


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_no_package_runs_code_that_it_reads() -> None:
    found = {
        name: list(
            unsafe(path.read_text(), may_open_models=name in MAY_OPEN_MODELS, may_spread_jobs=name in MAY_SPREAD_JOBS)
        )
        for path in modules()
        if (name := path.relative_to(ROOT).as_posix())
    }
    assert len(found) > 150
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "def f():\n    import joblib",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.save(state, path)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "onnxruntime.InferenceSession(path)",
    ],
)
def test_the_scan_finds(code: str) -> None:
    assert list(unsafe(code))


@pytest.mark.parametrize("code", ["torch.load(path, weights_only=True)", "np.load(path)", "model.eval()"])
def test_the_scan_leaves_alone(code: str) -> None:
    assert not list(unsafe(code))
