"""The stand-in's own rules: `cd tests/support && python3 -m unittest discover -t . -s workspace/tests`."""
