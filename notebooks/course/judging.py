"""How a graded notebook has an answer judged: by a process that nothing done to the lab in its kernel reaches."""

IMPORTS = "import subprocess, sys\nimport cloudpickle"
COMMAND = 'command = [sys.executable, "-P", "-m", "lab.course.exercises.judge", "{name}", "{seed}"]'
ASK = "judged = subprocess.run(command, input=cloudpickle.dumps({name}), capture_output=True)"
RIGHT = "Right."
"""What the judge says where the answer is right; elsewhere it says the hint."""
TOLD = "judged.stdout.decode() or judged.stderr.decode()[-300:]"
