"""The commands of ``gradlab``, one a file; ``lab.cli`` declares them and imports each only when it is called."""
