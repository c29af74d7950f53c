"""What can be wrong with a graph; every message names the module."""


class GraphError(ValueError):
    """A graph that cannot run; the message says which module, what came and what was wanted."""


class UnknownPortError(GraphError, AttributeError):
    """A port that a module does not have."""


class PortTypeError(GraphError, TypeError):
    """A value that a port does not take."""
