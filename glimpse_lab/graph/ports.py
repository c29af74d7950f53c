"""Ports: typed values of a module, and the edges by which they reach others."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from glimpse_lab.graph.errors import GraphError, PortTypeError
from glimpse_lab.graph.types import PortType, port_type

if TYPE_CHECKING:
    from glimpse_lab.graph.module import Module


class Port:
    """A value of a module that other modules can be sent.

    ``a >> b`` and ``a >> [b, c]`` connect it; so does ``a([b, c])``.

    :param owner: the module
    :param name: in the module
    :param declared: its type, see :func:`~glimpse_lab.graph.types.port_type`
    :param required: an input that has to be connected
    :param filled: by the module itself, so that nothing may be sent to it
    :param secret: what no agent may observe, such as a label
    :ivar value: None before there is any
    :ivar targets: ports that are sent the value when the module has run
    :ivar sources: ports whose values are sent here; the latest holds
    """

    def __init__(
        self,
        owner: Module,
        name: str,
        declared: Any,
        *,
        required: bool = False,
        filled: bool = False,
        secret: bool = False,
    ) -> None:
        self.owner, self.name = owner, name
        self.type: PortType = port_type(declared)
        self.required, self.filled, self.secret = required, filled, secret
        self.value: Any = None
        self.targets: list[Port] = []
        self.sources: list[Port] = []

    def __repr__(self) -> str:
        return f"{self.owner.name}.{self.name}"

    def __deepcopy__(self, memo: dict[int, Any]) -> Port:
        port = memo[id(self)] = object.__new__(Port)
        shared = (
            "name",
            "type",
            "required",
            "filled",
            "secret",
            "value",
        )  # values are never changed in place
        for name, value in vars(self).items():
            if name in ("targets", "sources"):
                value = []  # copies of modules alone have no edges; ``lanes.copy_of`` makes them
            setattr(port, name, value if name in shared else copy.deepcopy(value, memo))
        return port

    def set(self, value: Any) -> None:
        """Take a value.

        :raises PortTypeError: for one of another type or shape
        """
        problem = None if value is None else self.type.problem(value)
        if problem:
            raise PortTypeError(
                f"port {self.name} {problem}; module {self.owner.name}: convert the value, or "
                f"change the port's type (module[':{self.name}'] = ...)"
            )
        self.value = value

    def retype(self, declared: Any) -> None:
        """Change the type, and convert the value that is there.

        :raises PortTypeError: where it cannot be converted; nothing has changed then
        """
        new = port_type(declared)
        try:
            self.value = new.convert(self.value)
        except (TypeError, ValueError) as error:
            held = " ".join(repr(self.value).split())  # arrays have lines
            raise PortTypeError(
                f"port {self.name} holds {held:.60}, which is no {new} ({error}); module "
                f"{self.owner.name}: set another value first"
            ) from error
        self.type = new

    def __rshift__(self, targets: Port | Sequence[Port]) -> None:
        """Send the value to one or several ports whenever this port's module has run."""
        for target in targets if isinstance(targets, (list, tuple)) else [targets]:
            if not isinstance(target, Port):
                raise GraphError(
                    f"got {target!r} behind {self} >>; wanted a port, such as module.input"
                )
            if target not in self.targets:
                self.targets.append(target)
                target.sources.append(self)

    __call__ = __rshift__

    def disconnect(self, target: Port) -> None:
        """Take the edge to a port away, and what came along it.

        :raises GraphError: where there is none
        """
        if target not in self.targets:
            raise GraphError(f"got {self}.disconnect({target}); there is no such edge")
        self.targets.remove(target)
        target.sources.remove(self)
        target.value = None

    def send(self) -> None:
        """Send the value, if there is one, to all targets."""
        if self.value is not None:
            for target in self.targets:
                target.set(self.value)


class Declared:
    """A port declared in the body of a module's class.

    :param declared: its type, see :func:`~glimpse_lab.graph.types.port_type`
    :param required: an input that has to be connected
    :param filled: by the module itself
    :param secret: what no agent may observe
    """

    def __init__(
        self, declared: Any, *, required: bool = False, filled: bool = False, secret: bool = False
    ) -> None:
        self.declared = declared
        self.required, self.filled, self.secret = required, filled, secret

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def make(self, module: Module) -> Port:
        """Return the port of one module."""
        return Port(
            module,
            self.name,
            self.declared,
            required=self.required,
            filled=self.filled,
            secret=self.secret,
        )

    @overload
    def __get__(self, module: None, owner: type) -> Declared: ...

    @overload
    def __get__(self, module: Module, owner: type) -> Port: ...

    def __get__(self, module: Module | None, owner: type) -> Declared | Port:
        return self if module is None else module.port(self.name)

    def __set__(self, module: Module, value: Any) -> None:
        raise GraphError(
            f"got module.{self.name} = ...; a port's value is set by module[{self.name!r}] = ..., "
            f"and module.{self.name} >> other.port connects it"
        )


class Input(Declared):
    """A port that a module reads.

    :param declared: its type
    :param optional: it need not be connected
    """

    def __init__(self, declared: Any = object, *, optional: bool = False) -> None:
        super().__init__(declared, required=not optional)


class Output(Declared):
    """A port that a module fills.

    :param declared: its type
    :param secret: what no agent may observe, such as a label
    """

    def __init__(self, declared: Any = object, *, secret: bool = False) -> None:
        super().__init__(declared, filled=True, secret=secret)
