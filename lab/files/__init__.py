"""Files that people name: opened only where they are ordinary, bounded and theirs."""
