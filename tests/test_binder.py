"""What Binder builds: pinned as the tests are, and the page's own template inside a Jupyter server."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from socket_checks import withstands

from widgets.serving.configuration import EXECUTION, GUARD

ROOT = Path(__file__).parent.parent
BINDER = ROOT / "binder"


def test_torch_is_the_cpu_build_of_the_pinned_versions():
    pinned = dict(re.findall(r"^(torch(?:vision)?)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    wanted = dict(re.findall(r"^(torch(?:vision)?)==(\S+)\+cpu$", (BINDER / "requirements.txt").read_text(), re.MULTILINE))
    assert wanted == pinned
    assert "download.pytorch.org/whl/cpu" in (BINDER / "requirements.txt").read_text()


def test_what_binder_runs_can_be_run():
    for name in ("postBuild", "start"):
        assert os.access(BINDER / name, os.X_OK)
        subprocess.run(["bash", "-n", str(BINDER / name)], check=True)
    for path in re.findall(r"\b(?:binder|course)/\S+\.py\b", (BINDER / "postBuild").read_text()):
        assert (ROOT / path).exists()


def test_present_settings_of_the_server_are_kept(tmp_path):
    file = tmp_path / "etc" / "jupyter" / "jupyter_server_config.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"ServerApp": {"ip": "x"}, "LabApp": {"a": 1}}')
    for _ in range(2):  # a second time changes nothing
        set_up(tmp_path)
        told = json.loads(file.read_text())
        assert told["ServerApp"] == {"ip": "x", "kernel_websocket_connection_class": GUARD}
        assert told["LabApp"] == {"a": 1}
        assert told["VoilaConfiguration"]["template"] == "gradlab"
        assert told["VoilaExecutor"] == EXECUTION


def set_up(prefix):
    subprocess.run([sys.executable, str(BINDER / "set_up_voila.py"), str(prefix)], cwd=ROOT, check=True, env=environment())


def test_one_command_points_every_badge_at_a_copy():
    sys.path.insert(0, str(BINDER))
    from point_badges import pointed

    text = (ROOT / "README.md").read_text()
    links = re.findall(r"mybinder\.org/v2/gh/([^/]+/[^/]+)/HEAD", text)
    assert len(links) >= 2
    shown = pointed(text, "some/copy")
    assert re.findall(r"mybinder\.org/v2/gh/([^/]+/[^/]+)/HEAD", shown) == ["some/copy"] * len(links)
    assert not re.search(r"<!--(?:(?!-->).)*mybinder", shown, re.DOTALL)
    assert links[0] != "OWNER/REPOSITORY" or re.search(r"<!--(?:(?!-->).)*mybinder", text, re.DOTALL), "shown while dead"
    assert pointed(pointed(text, "some/copy"), links[0]) == text, "nothing else is touched"
    for wrong in ("", "copy", "https://github.com/some/copy", "a b/c"):
        with pytest.raises(ValueError, match="give OWNER/REPOSITORY"):
            pointed(text, wrong)


def test_what_the_badges_open_is_there():
    text = (ROOT / "README.md").read_text()
    opened = re.findall(r"urlpath=(?:voila/render|lab/tree)/(\S+?)\)", text)
    assert len(opened) >= 2
    built = "course/student/"
    assert all((ROOT / path.replace(built, "notebooks/")).exists() for path in opened)


def environment(**more):
    return os.environ | {"PYTHONPATH": str(ROOT)} | more


@pytest.mark.slow
def test_the_page_under_voila_in_a_jupyter_server(tmp_path):
    set_up(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=told"]
    paths = {"JUPYTER_PATH": f"{tmp_path}/share/jupyter", "JUPYTER_CONFIG_PATH": f"{tmp_path}/etc/jupyter"}
    command = [sys.executable, "-m", "jupyter_server", *options, f"--ServerApp.root_dir={ROOT}"]
    server = subprocess.Popen(command, cwd=ROOT, env=environment(**paths), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        page = asked(f"http://localhost:{port}/voila/render/notebooks/00-meet-the-lab.ipynb?token=told")
        kernel = json.loads(asked(f"http://localhost:{port}/api/kernels?token=told"))[0]["id"]
        withstands(f"ws://localhost:{port}/api/kernels/{kernel}/channels", {"Authorization": "token told"})
        assert kernel in asked(f"http://localhost:{port}/api/kernels?token=told")
    finally:
        server.terminate()
        server.wait(timeout=60)
    assert "skeleton-title" in page
    assert "Traceback" not in page


def asked(address):
    """The page, as soon as the server answers; whoever never does is a failure of the test's timeout."""
    while True:
        try:
            return urllib.request.urlopen(address, timeout=120).read().decode()
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(0.2)
