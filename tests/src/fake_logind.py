'''dbusmock's logind, and what a test must hear of it: when an inhibitor is taken, and when the last descriptor of it is
closed. GetUser() of the version that Debian 12 has fails for any user.
'''

import os

import dbus
from gi.repository import GLib
from dbusmock import mockobject
from dbusmock.templates import logind
from dbusmock.templates.logind import *  # pylint: disable=wildcard-import,unused-wildcard-import


def load(mock, parameters):
    logind.load(mock, parameters)
    mock.AddMethod(MAIN_IFACE, 'GetUser', 'u', 'o', 'ret = "/org/freedesktop/login1/user/%u" % args[0]')
    for uid in parameters.get('locked', []):
        # As one that has come back has it: nobody is told.
        AddSession(mock, 'c1', 'seat0', uid, 'us', True)
        session = mockobject.objects['/org/freedesktop/login1/session/c1']
        session.props['org.freedesktop.login1.Session']['LockedHint'] = True


@dbus.service.method(MAIN_IFACE, in_signature='ssss', out_signature='h')
def Inhibit(self, what, who, why, mode):
    read_end, write_end = os.pipe()

    def closed(descriptor, _condition):
        os.close(descriptor)
        self.EmitSignal('org.opensesame.Test', 'InhibitorClosed', 'sss', [what, who, mode])
        return False

    GLib.unix_fd_add_full(GLib.PRIORITY_HIGH, read_end, GLib.IO_HUP, closed)
    self.EmitSignal('org.opensesame.Test', 'InhibitorTaken', 'sss', [what, who, mode])
    # The answer has a copy of its own by then.
    GLib.idle_add(lambda: os.close(write_end))
    return write_end
