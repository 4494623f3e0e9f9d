"""The files in ``deploy/``, each checked by the tool that reads it, and against what they speak of."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import beside
import pytest
import typer
import yaml
from traitlets.config import PyFileConfigLoader

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
VALUES = yaml.safe_load((DEPLOY / "values.yaml").read_text())
STUDENTS = {path.name for path in (ROOT / "notebooks").glob("[0-9][0-9]-*.ipynb")}


@pytest.fixture(scope="module")
def snippet():
    """The settings of ``jupyterhub_config.py``."""
    pytest.importorskip("jupyterhub", reason="JupyterHub is not installed: pip install .[hub]")
    return PyFileConfigLoader("jupyterhub_config.py", str(DEPLOY)).load_config()


def classes():
    """JupyterHub's classes that the files set, by name."""
    from jupyterhub.app import JupyterHub
    from jupyterhub.auth import Authenticator
    from jupyterhub.spawner import Spawner
    from systemdspawner import SystemdSpawner

    return {kind.__name__: kind for kind in (JupyterHub, Authenticator, Spawner, SystemdSpawner)}


def test_the_hubs_settings_are_known_to_the_hub(snippet):
    for name, settings in [*snippet.items(), *VALUES["hub"]["config"].items()]:
        if name != "GitHubOAuthenticator":  # comes with the chart
            assert set(settings) <= set(classes()[name].class_traits(config=True)), name


def test_a_server_of_the_hub_knows_the_options_that_it_is_started_with(snippet):
    from jupyter_server.serverapp import ServerApp

    for option in snippet.Spawner.args:
        trait = re.fullmatch(r"--ServerApp\.(\w+)=\w+", option).group(1)
        assert trait in ServerApp.class_traits(config=True)


def test_both_hubs_give_the_same_server(snippet):
    server, spawner = VALUES["singleuser"], snippet.Spawner
    assert server["memory"]["limit"] == spawner.mem_limit
    assert server["cpu"]["limit"] == spawner.cpu_limit
    assert server["defaultUrl"] == spawner.default_url
    assert server["startTimeout"] == spawner.start_timeout
    assert server["extraEnv"] == spawner.environment
    assert server["cmd"][0] == Path(spawner.cmd[0]).name
    assert f"shutdown_no_activity_timeout={VALUES['cull']['timeout']}" in spawner.args[0]


def test_what_the_hubs_open_is_in_a_students_home(snippet):
    opened = [VALUES["singleuser"]["defaultUrl"], snippet.Spawner.default_url]
    opened += [profile.get("kubespawner_override", {}).get("default_url") for profile in VALUES["singleuser"]["profileList"]]
    assert {re.fullmatch(r"/(?:voila/render|lab/tree)/(.+)", url).group(1) for url in opened if url} <= STUDENTS


def test_nobody_is_let_in_until_it_is_said_who():
    said = VALUES["hub"]["config"]
    assert said["Authenticator"] == {"allow_all": False, "admin_users": []}
    assert said["JupyterHub"]["authenticator_class"] not in ("dummy", "null")
    assert not said["JupyterHub"]["admin_access"]


def checked(program, *arguments, **variables):
    """What a tool says about a file, which must satisfy it."""
    command = [beside.path_of(program), *arguments]
    said = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout + said.stderr


def test_the_container_file_is_well_formed():
    assert checked("hadolint", str(DEPLOY / "Containerfile")) == ""


def instructions(name):
    """The arguments of each such line of the container file, continued lines joined."""
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    return re.findall(rf"^{name} +(.*)$", text, re.MULTILINE)


def test_the_image_is_made_of_what_the_lab_is_pinned_to():
    version = (ROOT / "binder" / "runtime.txt").read_text().strip().removeprefix("python-")
    assert instructions("FROM") == [f"docker.io/library/python:{version}-slim-bookworm"]
    installs = re.findall(r"pip install [^&]*", " ".join(instructions("RUN")))
    assert installs
    assert all("--constraint constraints.txt" in install for install in installs)


def test_nobody_in_the_container_is_root_and_its_health_is_asked():
    assert instructions("USER") == ["1000"]
    assert "/health" in instructions("HEALTHCHECK")[0]


def test_what_the_image_is_built_from_is_there_and_not_left_out():
    left_out = {line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")}
    assert {".git", ".venv", "tests"} <= left_out
    needed = {source for line in instructions("COPY") for source in line.split()[:-1]} - {"."}
    needed |= set(re.findall(r"\b(?:binder|notebooks|deploy)/[\w./-]+", " ".join(instructions("RUN") + instructions("CMD"))))
    for path in sorted(needed):
        assert (ROOT / path).exists(), path
        assert not left_out & {path, *map(str, Path(path).parents)}, path


def test_the_composition_is_valid_and_shut():
    file = DEPLOY / "compose.yaml"
    checked("docker-compose", "--file", str(file), "config", "--quiet", GRADLAB_SITE="lab.example.org")
    with_no_name = [beside.path_of("docker-compose"), "--file", str(file), "config", "--quiet"]
    assert subprocess.run(with_no_name, capture_output=True, check=False).returncode, "whoever names no site is told"
    told = yaml.safe_load(file.read_text())
    for service in told["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
        assert service["pids_limit"]
    assert "ports" not in told["services"]["lab"], "only the proxy is reached from outside"
    assert [told["networks"][name]["internal"] for name in told["services"]["lab"]["networks"]] == [True]


def test_the_service_is_valid_and_shut(tmp_path):
    """systemd looks whether the program is there, so the test's own stands for it; 10 is the most exposed, 0 the least."""
    text = (DEPLOY / "gradlab.service").read_text()
    unit = tmp_path / "gradlab.service"
    unit.write_text(text.replace("/opt/gradlab/.venv/bin/gradlab", sys.executable))
    assert str(tmp_path) not in checked("systemd-analyze", "verify", str(unit))
    exposure = checked("systemd-analyze", "security", "--offline=yes", "--threshold=15", str(unit))
    assert "Overall exposure level" in exposure


def commands():
    """Each command of the lab that a file of ``deploy/`` starts or tells to start, as words."""
    told = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["lab"]["command"]
    yield "compose.yaml", told
    yield "Containerfile", json.loads(instructions("CMD")[0])
    yield (
        "gradlab.service",
        re.search(r"^ExecStart=(.*)$", (DEPLOY / "gradlab.service").read_text(), re.MULTILINE).group(1).split(),
    )
    for line in re.findall(r"gradlab serve[^`\n]*", (DEPLOY / "README.md").read_text()):
        yield "README.md", shlex.split(line)


@pytest.mark.parametrize(("file", "words"), [pytest.param(*command, id=command[0]) for command in commands()])
def test_the_lab_knows_the_command_it_is_started_with(file, words):
    from lab.cli import app

    known = typer.main.get_command(app).commands[words[1]]
    options = {name for parameter in known.params for name in [*parameter.opts, *parameter.secondary_opts]}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options
