"""The smallest machine that has everything to be measured: a lamp. Its sentences are for nobody."""

from __future__ import annotations

from types import NoneType

from attrs import evolve, frozen

from zosfsm.fsm.lifecycle import Change, Context, Effect, Event, Lifecycle, Verdict, action, guard, yes

_SWITCHES = """
[[transitions]]
trigger = "{trigger}"
sources = ["dark"]
target = "bright"
{code}sentence = "On."

[[transitions]]
trigger = "{trigger}"
sources = ["bright"]
target = "dark"
{code}sentence = "Off."
"""

TOML = """
name = "lamp"
sentence = "Is there light?"
instances = "one"
initial = "dark"
teardown = "gone"

[states.dark]
sentence = "No light."
kind = "stable"

[states.bright]
sentence = "Light."
kind = "stable"

[states.gone]
sentence = "No lamp."
kind = "final"

[[transitions]]
trigger = "teardown"
sources = ["*"]
target = "gone"
sentence = "Away with it."
""" + "".join(
    _SWITCHES.format(trigger=trigger, code=code)
    for trigger, code in (
        ("switch", ""),
        ("guarded_switch", 'guards = ["has_power"]\nactions = ["count"]\n'),
        ("dim", 'guards = ["has_power"]\nactions = ["glow"]\n'),
    )
)


@frozen
class LampData:
    """How often it was switched."""

    switched: int = 0


@frozen
class Glow(Effect):
    """So bright."""

    level: int


class Lamp(Lifecycle[LampData]):
    """Says yes, counts, and asks for one effect."""

    name = "lamp"
    data_type = LampData
    payloads = {"switch": NoneType, "guarded_switch": NoneType, "dim": int, "teardown": NoneType}

    def initial(self, key: str) -> LampData:
        """Never switched."""
        del key
        return LampData()

    @guard
    def has_power(self, context: Context[LampData], event: Event) -> Verdict:
        """Always."""
        del context, event
        return yes("there is power")

    @action
    def count(self, context: Context[LampData], event: Event) -> Change[LampData]:
        """One more."""
        del event
        return Change(evolve(context.data, switched=context.data.switched + 1))

    @action
    def glow(self, context: Context[LampData], event: Event) -> Change[LampData]:
        """One more, and an effect."""
        assert isinstance(event.data, int)
        return Change(evolve(context.data, switched=context.data.switched + 1), (Glow(event.data),))
