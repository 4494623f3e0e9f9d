"""The files in ``deploy/``, each checked by the tool that reads it, and against what they speak of."""

import re
from pathlib import Path

import pytest
import yaml
from traitlets.config import PyFileConfigLoader

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
VALUES = yaml.safe_load((DEPLOY / "values.yaml").read_text())
STUDENTS = {path.name for path in (ROOT / "notebooks").glob("0*.ipynb")}


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
