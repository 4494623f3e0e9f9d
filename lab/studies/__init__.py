"""Studies: the paper's tables and figures as lists of experiments, one a file."""
