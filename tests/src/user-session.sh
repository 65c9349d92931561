# A user's whole session, in namespaces that end with it: journal, service manager, bus, home. Runs as root, as the
# first process of a PID namespace and in a mount namespace of its own; whatever is left when it ends is killed by the
# kernel, and all its files lie in file systems that go with the namespace.
#
#   user-session.sh UID CGROUP INSTALLED BUS_UNIT COMMAND...
#
# UID       whom the session belongs to; needs no account, it gets one here
# CGROUP    the session's control group, below the root of the hierarchy; whoever started this removes it
# INSTALLED a folder that is copied to the user's ~/.local, as `make install PREFIX=~/.local` would have left it
# BUS_UNIT  the service that is dbus.service here: dbus-daemon's or dbus-broker's
# COMMAND   is run in the session, as its user. Its exit status is this script's
set -eu
uid=$1 cgroup=$2 installed=$3 bus_unit=$4
shift 4
home=/run/home runtime=/run/user/$uid

umount --recursive --lazy /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# Named as a login's groups are, so that the journal knows whose lines it gets.
group=/sys/fs/cgroup/$cgroup/user-$uid.slice/user@$uid.service
mkdir -p "$group/shell"

# Nothing of the machine's own /run is seen, its system bus neither; a journal that keeps a file for each user.
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/log
mkdir -p "$home" /run/systemd/system /run/systemd/journal /run/systemd/journald.conf.d \
  "$runtime" /var/log/journal
cp -r "$installed" "$home/.local"
touch /run/systemd/journal/flushed
printf '[Journal]\nAudit=no\nReadKMsg=no\nForwardToWall=no\nForwardToSyslog=no\nRateLimitBurst=0\n' \
  >/run/systemd/journald.conf.d/quiet.conf
{ cat /etc/passwd; echo "sesame-test:x:$uid:$uid::$home:/bin/sh"; } >/run/passwd
mount --bind /run/passwd /etc/passwd
# The user's own folder goes before /etc/systemd/user, where a distribution links the bus that it prefers.
units=$home/.config/systemd/user
mkdir -p "$units"
# The credentials that the system's manager would hand to the user's one: none yet.
credentials=/run/credentials/user@$uid.service
mkdir -p "$credentials"
# How a scenario acts as root, as a login does: everything else in it is the user's.
install -m 4755 "$(command -v setpriv)" /run/as-root
sed '/^Alias=/d' "$bus_unit" >"$units/dbus.service"
chmod 700 "$home" "$runtime" "$credentials"
chown -R "$uid:$uid" "$group" "$home" "$runtime" "$credentials"

unset "${!XDG_@}" NOTIFY_SOCKET INVOCATION_ID 2>/dev/null || true
export HOME=$home USER=sesame-test LOGNAME=sesame-test XDG_RUNTIME_DIR=$runtime LC_ALL=C.UTF-8
export PATH=$home/.local/bin:$PATH DBUS_SESSION_BUS_ADDRESS=unix:path=$runtime/bus
as_user() { setpriv --reuid "$uid" --regid "$uid" --clear-groups "$@"; }

# Fails with the words of what it waited for.
wait_for() {
  what=$1
  shift
  for _ in {1..200}; do "$@" >/dev/null 2>&1 && return; sleep 0.05; done
  echo "waited 10 s in vain for $what" >&2
  exit 1
}

# The first process of a PID namespace must not be what it waits for: it is this shell, and reaps.
/lib/systemd/systemd-journald </dev/null >/run/journald.log 2>&1 &
wait_for "the journal" test -S /run/systemd/journal/stdout
( cd "$home"; echo "$BASHPID" >"$group/cgroup.procs"
  exec env CREDENTIALS_DIRECTORY="$credentials" setpriv --reuid "$uid" --regid "$uid" --clear-groups \
    /lib/systemd/systemd --user --log-target=journal ) \
  </dev/null >/run/manager.log 2>&1 &
manager=$!
wait_for "the user's service manager" as_user systemctl --user is-active --quiet default.target

code=0
( cd "$home"; echo "$BASHPID" >"$group/shell/cgroup.procs"
  exec setpriv --reuid "$uid" --regid "$uid" --clear-groups "$@" ) </dev/null || code=$?
if [ "$code" != 0 ]; then
  echo "--- journal"
  journalctl --sync 2>/dev/null || true
  journalctl --no-pager --output=short-precise --lines=150 --directory=/var/log/journal
fi >&2
# Asked, so that its units end as they do at a logout; what does not is killed with the namespace.
kill -TERM "$manager" 2>/dev/null || true
for _ in {1..40}; do kill -0 "$manager" 2>/dev/null || break; sleep 0.05; done
exit "$code"
