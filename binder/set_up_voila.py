"""``python binder/set_up_voila.py PREFIX``: what a Jupyter server needs to serve the lab: on Binder, in a hub, at home.

The page's template and settings for the Voila inside it, and the guard of every kernel's socket.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from widgets.serving.configuration import CULLING, EXECUTION, GUARD, PAGE, TEMPLATES


def set_up(prefix: Path) -> None:
    """Put the templates under PREFIX/share/jupyter and the settings under PREFIX/etc/jupyter."""
    shutil.copytree(TEMPLATES / "voila", prefix / "share" / "jupyter" / "voila", dirs_exist_ok=True)
    settings = {
        # A kernel kept ready for every notebook of the repository would not fit into a visitor's memory.
        "VoilaConfiguration": PAGE | {"preheat_kernel": False},
        "VoilaExecutor": EXECUTION,
        "MappingKernelManager": CULLING,
        "ServerApp": {"kernel_websocket_connection_class": GUARD},
    }
    file = prefix / "etc" / "jupyter" / "jupyter_server_config.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    present = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    merged = {name: present.get(name, {}) | values for name, values in settings.items()}
    file.write_text(json.dumps(present | merged, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    set_up(Path(sys.argv[1]))
