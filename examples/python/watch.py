#!/usr/bin/python3
"""Follows the health hub: a line at each change, across restarts of the daemons. Needs jeepney (python3-jeepney).

It never starts a daemon, and asks nothing while nothing happens.
"""

import jeepney
from jeepney import DBusAddress, MatchRule, MessageFlag, MessageType, message_bus, new_method_call
from jeepney.io.blocking import open_dbus_connection

NAME = "org.opensesame.Profile"
PATH = "/org/opensesame/Profile"
HUB = DBusAddress(PATH, bus_name=NAME, interface=NAME)


def report(bus):
    """The hub's report, or None where it does not run or does not answer."""
    call = new_method_call(HUB, "Report")
    call.header.flags |= MessageFlag.no_auto_start
    try:
        answer = bus.send_and_get_reply(call, timeout=2)
    except TimeoutError:
        return None
    if answer.header.message_type is MessageType.error:
        return None
    # Each value of a variant comes as (signature, value).
    return {key: value for key, (_, value) in answer.body[0].items()}


def line(now):
    if now is None:
        return "the health hub is not running"
    vaults = [f"{name}={'locked' if locked else 'unlocked'}" for name, locked in now["LockState"].items()]
    return f"{' '.join(vaults) or 'no vaults'} health={now['Health']}"


def main():
    bus = open_dbus_connection("SESSION")
    changes = MatchRule(type="signal", sender=NAME, path=PATH, member="PropertiesChanged")
    # Its coming and going. The bus itself says so: nobody can forge it.
    owner = MatchRule(type="signal", sender="org.freedesktop.DBus", member="NameOwnerChanged")
    owner.add_arg_condition(0, NAME)
    # Subscribed before the first question: no change falls between the two.
    for rule in (changes, owner):
        bus.send_and_get_reply(message_bus.AddMatch(rule))
    last = None
    while True:
        now = line(report(bus))
        if now != last:
            print(now, flush=True)
            last = now
        # Anything that the two rules let through is a reason to ask.
        while bus.receive().header.message_type is not MessageType.signal:
            pass


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        pass
