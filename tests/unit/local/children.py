"""Small real processes for the supervisor's tests."""

import sys
from pathlib import Path

from codeforge.local.data_dir import DataDir
from codeforge.local.part import Kind, Part
from codeforge.local.process import ProcessSpec

SLEEP = "import time; time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
SERVE = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch(); "


def made_data_dir(tmp_path: Path) -> DataDir:
    """A data directory, prepared."""
    data_dir = DataDir(tmp_path / "data")
    data_dir.prepare()
    return data_dir


def script_part(data_dir: DataDir, name: str, script: str, *, kind: Kind = Kind.SERVICE, start_s: float = 60.0) -> Part:
    """A part that runs a Python script, and is ready once the script has made the file named by its argument."""
    mark = data_dir.run / f"{name}.health"

    async def ready() -> bool:
        return mark.exists()

    command = (sys.executable, "-I", "-S", "-c", script, str(mark))
    return Part(ProcessSpec(name, command, ready, data_dir.run), kind, start_s, mark)


def serving(then: str = SLEEP) -> str:
    """A script that becomes ready, and goes on."""
    return SERVE + then


def graceful(log: Path) -> str:
    """A script that writes its own name into `log` at SIGTERM, and ends."""
    return (
        "import signal, sys, os\n"
        "def end(*_):\n"
        f"    with open({str(log)!r}, 'a') as file: file.write(os.path.basename(sys.argv[1]).split('.')[0] + '\\n')\n"
        "    os._exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n" + SERVE + "\n"
        "while True: signal.pause()\n"
    )
