"""JupyterHub's settings for the lab: each user's server opens the page through Voila, and JupyterLab stays beside it.

The Littlest JupyterHub reads this file from /opt/tljh/config/jupyterhub_config.d/; a JupyterHub of your own
takes it with ``load_subconfig``. Who may log in, and what starts the servers, is said elsewhere: see README.md.
"""

c = get_config()

HOUSE = "/opt/gradlab"  # where the lab is installed, with its own environment in .venv

c.Spawner.cmd = [f"{HOUSE}/.venv/bin/jupyterhub-singleuser"]
c.Spawner.default_url = "/voila/render/00-meet-the-lab.ipynb"
# A server nobody asks anything of for ten minutes ends; its kernels end earlier, as binder/set_up_voila.py says.
c.Spawner.args = ["--ServerApp.shutdown_no_activity_timeout=600"]
# One thread a kernel: a small network gains nothing from more, and a shared machine loses.
c.Spawner.environment = {"OMP_NUM_THREADS": "1"}
# What stands in a user's home must not loosen what stands here.
c.Spawner.disable_user_config = True

# One page takes 0.5 GB, most attacks under 1 GB; a spawner that enforces limits (systemd, Kubernetes) ends what takes more.
c.Spawner.mem_limit = "2G"
c.Spawner.cpu_limit = 1.0
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 120

# Below The Littlest JupyterHub: neither another's temporary files nor the machine's devices.
c.SystemdSpawner.isolate_tmp = True
c.SystemdSpawner.isolate_devices = True

# 16 GB for thirty; the next one is told to come back later. A class that arrives at once starts ten at a time.
c.JupyterHub.active_server_limit = 30
c.JupyterHub.concurrent_spawn_limit = 10
