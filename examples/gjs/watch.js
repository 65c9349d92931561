#!/usr/bin/gjs
// Follows the health hub: a line at each change, across restarts of the daemons. In an extension of GNOME Shell, the
// same class sets the text of a button in the panel.
//
// It never starts a daemon, and asks nothing while nothing happens.

const { Gio, GLib } = imports.gi;

const NAME = 'org.opensesame.Profile';
const PATH = '/org/opensesame/Profile';

class Hub {
    constructor(changed) {
        this._changed = changed;
        this._bus = Gio.bus_get_sync(Gio.BusType.SESSION, null);
        // Subscribed before the first question: no change falls between the two. Only the owner of the name is heard.
        this._bus.signal_subscribe(NAME, 'org.freedesktop.DBus.Properties', 'PropertiesChanged', PATH, NAME,
            Gio.DBusSignalFlags.NONE, () => this._ask());
        Gio.bus_watch_name_on_connection(this._bus, NAME, Gio.BusNameWatcherFlags.NONE,
            () => this._ask(), () => this._changed(null));
    }

    _ask() {
        this._bus.call(NAME, PATH, NAME, 'Report', null, new GLib.VariantType('(a{sv})'),
            Gio.DBusCallFlags.NO_AUTO_START, 2000, null, (bus, result) => {
                try {
                    const [report] = bus.call_finish(result).recursiveUnpack();
                    this._changed(report);
                } catch (error) {
                    // Gone or hung between the signal and the question; its return is another signal.
                    this._changed(null);
                }
            });
    }
}

function line(report) {
    if (report === null)
        return 'the health hub is not running';
    const vaults = Object.entries(report.LockState).map(([name, locked]) => `${name}=${locked ? 'locked' : 'unlocked'}`);
    return `${vaults.join(' ') || 'no vaults'} health=${report.Health}`;
}

let last = '';
const hub = new Hub(report => {
    const now = line(report);
    if (now !== last)
        print(now);
    last = now;
});
new GLib.MainLoop(null, false).run();
