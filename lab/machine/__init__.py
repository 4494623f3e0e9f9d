"""The machine: devices, threads, memory and cores."""
