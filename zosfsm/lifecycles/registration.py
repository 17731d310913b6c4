"""How the node makes itself known: the guards and actions of states/registration.toml. Pure."""

from __future__ import annotations

from types import NoneType

from attrs import evolve, frozen

from zosfsm.fsm.lifecycle import Change, Context, Effect, Event, Lifecycle, Tell, Verdict, action, guard, no, yes


@frozen
class Identified:
    """The node's public name, and the farm that the kernel command line names (0: none)."""

    node_id: str
    farm_id: int


@frozen
class RegistrationData:
    """`changed`: NICs or ports changed since the publishing under way began."""

    node_id: str = ""
    farm_id: int = 0
    connected: bool = False
    changed: bool = False


@frozen
class MakeIdentity(Effect):
    """Read the node's identity, or make it; answers identity_ready or identity_failed."""


@frozen
class RegisterNode(Effect):
    """Tell the grid that the node exists; answers accepted, refused or unreachable."""


@frozen
class PublishInventory(Effect):
    """Publish NICs, ports and uptime to the grid; answers published, refused or unreachable."""


Here = Context[RegistrationData]
Next = Change[RegistrationData]


class Registration(Lifecycle[RegistrationData]):
    """The code of states/registration.toml."""

    name = "registration"
    data_type = RegistrationData
    payloads = {
        "start": NoneType,
        "identity_ready": Identified,
        "identity_failed": NoneType,
        "connected": NoneType,
        "disconnected": NoneType,
        "accepted": NoneType,
        "published": NoneType,
        "refused": NoneType,
        "unreachable": NoneType,
        "inventory_changed": NoneType,
        "teardown": NoneType,
    }

    def initial(self, key: str) -> RegistrationData:
        return RegistrationData()

    @guard
    def is_connected(self, context: Here, event: Event) -> Verdict:
        if context.data.connected:
            return yes("the grid can be reached")
        return no("there is no way to the grid yet")

    @guard
    def changed_meanwhile(self, context: Here, event: Event) -> Verdict:
        if context.data.changed:
            return yes("NICs or ports changed meanwhile")
        return no("all that the grid was told still holds")

    @action
    def make_identity(self, context: Here, event: Event) -> Next:
        return Change(context.data, (MakeIdentity(),))

    @action
    def remember_identity(self, context: Here, event: Event) -> Next:
        assert isinstance(event.data, Identified)
        return Change(evolve(context.data, node_id=event.data.node_id, farm_id=event.data.farm_id))

    @action
    def remember_connection(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, connected=True))

    @action
    def forget_connection(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, connected=False))

    @action
    def register(self, context: Here, event: Event) -> Next:
        return Change(context.data, (RegisterNode(),))

    @action
    def publish(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, changed=False), (PublishInventory(),))

    @action
    def remember_change(self, context: Here, event: Event) -> Next:
        return Change(evolve(context.data, changed=True))

    @action
    def announce(self, context: Here, event: Event) -> Next:
        known = Identified(context.data.node_id, context.data.farm_id)
        reason = "the grid knows the node"
        told = (Tell("polling", "registered", known, reason), Tell("public", "registered", None, reason))
        return Change(context.data, told)

    @action
    def announce_refusal(self, context: Here, event: Event) -> Next:
        return Change(context.data, (Tell("polling", "disconnected", None, event.reason),))

    @action
    def announce_doubt(self, context: Here, event: Event) -> Next:
        return Change(context.data, (Tell("connectivity", "doubt", None, event.reason),))
