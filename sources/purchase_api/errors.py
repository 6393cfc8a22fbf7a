"""The one error of this tool that a person can act on."""


class SimulatorError(Exception):
    """What was expected, what came, what to do; the CLI prints it without a traceback and exits 1."""
