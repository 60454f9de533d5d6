"""One module per `ortperf` command: arguments and exit status."""
