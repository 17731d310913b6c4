"""What the log says of an event: each change of state, in a line. What changes none is for whoever debugs."""

from __future__ import annotations

import logging

from zosfsm.fsm.machine import Delivery, Instance

log = logging.getLogger(__name__)


def told_to_log(instance: Instance, delivery: Delivery) -> None:
    """The instance is as the event has left it."""
    if delivery.taken is None:
        log.debug(
            "event ignored",
            extra={"machine": instance.name, "event": delivery.event.trigger, "state": instance.state},
        )
        return
    # What changes no state, as a client's repeated question, is in the journal, and would drown the log.
    log.log(
        logging.DEBUG if delivery.taken.target is None else logging.INFO,
        "transition",
        extra={
            "machine": instance.name,
            "event": delivery.event.trigger,
            "source": delivery.source,
            "target": instance.state,
            "reason": instance.reason,
        },
    )
