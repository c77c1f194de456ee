#!/usr/bin/env bash
# `access.units` on tokend.sock and on a sink's socket: for that unit alone, and only where tokend can see it. A name that
# somebody else made up is none: below a delegated cgroup, in a user's own manager.
. tests/systemd/inside/lib.sh

install_tokend < <(partner; printf '%s\n' 'access = { units = ["bot.service"] }' '[[providers.partner.sinks]]' \
  'kind = "socket"' 'path = "/run/tokend/partner.sock"' 'mode = "0660"' 'group = "tokend-clients"')
useradd --create-home --uid 1500 --groups tokend-clients reader
systemctl start tokend
token=$(tokend get partner --wait 10s)

# ask UNIT [OPTION…]: read as the user `reader` in a unit of that name.
ask() {
  local unit=$1
  shift
  systemd-run --quiet --wait --pipe --collect --unit="$unit" --property=User=reader "$@"
}
readonly GET=(/opt/tokend/bin/tokend get partner)

# The same of the sink's socket, which closes without data.
cat >/run/sink.py <<'END'
import socket

reader = socket.socket(socket.AF_UNIX)
reader.connect("/run/tokend/partner.sock")
got = b"".join(iter(lambda: reader.recv(65536), b""))
print(got.decode() or "refused")
END
readonly READ=(python3 /run/sink.py)

# Without the drop-in: nobody, and one line says why.
refused 5 ask bot.service "${GET[@]}"
refused 5 ask bot.service "${GET[@]}"
[[ $(ask bot.service "${READ[@]}") == refused ]]
[[ $(messages --priority=warning | grep -c 'event=units.unknown') == 1 ]]
contains "$(messages --priority=warning)" 'ProtectProc=default (drop-ins/access-units.conf)'

drop_in tokend.service access-units <systemd/drop-ins/access-units.conf
systemctl restart tokend
[[ $(ask bot.service "${GET[@]}") == "$token" ]]
[[ $(ask bot.service "${READ[@]}") == "$token" ]]
refused 5 ask other.service "${GET[@]}"
[[ $(ask other.service "${READ[@]}") == refused ]]
# Of no unit at all, but root: as everywhere.
[[ $("${READ[@]}") == "$token" ]]
# In any slice, and in what it made below itself.
[[ $(ask bot.service --slice=trading-fast.slice "${GET[@]}") == "$token" ]]
# The service is the reader's, and so is its cgroup: it can name a group in it as it likes.
cat >/run/below.sh <<'SCRIPT'
own=/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)
mkdir "$own/$1" && echo $$ >"$own/$1/cgroup.procs" && exec /opt/tokend/bin/tokend get partner
SCRIPT
[[ $(ask bot.service --property=Delegate=yes sh /run/below.sh inner.service) == "$token" ]]
refused 5 ask other.service --property=Delegate=yes sh /run/below.sh bot.service
refused 5 ask other.service --property=Delegate=yes sh /run/below.sh system.slice

# A person's manager starts whatever they call bot.service.
loginctl enable-linger reader
until_true 20 is ActiveState active user@1500.service
own() { setpriv --reuid=1500 --regid=1500 --init-groups env XDG_RUNTIME_DIR=/run/user/1500 "$@"; }
until_true 20 own systemctl --user is-active basic.target
refused 5 own systemd-run --user --quiet --wait --pipe --collect --unit=bot.service "${GET[@]}"
[[ $(own systemd-run --user --quiet --wait --pipe --collect --unit=bot.service "${READ[@]}") == refused ]]

# Whoever connected has ended, while another goes on asking: its pid may be anybody's by now.
cat >/run/heir.py <<'END_OF_HEIR'
import os, socket, sys

def ask(connection):
    connection.sendall(b"GET /v1/tokens/partner HTTP/1.1\r\nHost: x\r\n\r\n")
    return connection.recv(4096).split()[1].decode()

ours, theirs = socket.socketpair()
if (child := os.fork()) == 0:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect("/run/tokend/tokend.sock")
    if sys.argv[1] == "asked":
        print(ask(connection), flush=True)
    socket.send_fds(theirs, [b"x"], [connection.fileno()])
    os._exit(0)
_, (descriptor,), _, _ = socket.recv_fds(ours, 1, 1)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
if sys.argv[1] == "reaped":
    os.waitpid(child, 0)
print(ask(socket.socket(fileno=descriptor)))
END_OF_HEIR
[[ $(ask bot.service python3 /run/heir.py zombie) == 404 ]]
[[ $(ask bot.service python3 /run/heir.py reaped) == 404 ]]
# Remembered for the connection, as uid and groups are.
[[ $(ask bot.service python3 /run/heir.py asked | xargs) == '200 200' ]]

# Since the restart there was nothing to warn of. Root needs no unit.
[[ $(messages --priority=warning | grep -c 'event=units.unknown') == 1 ]]
[[ $(tokend get partner) == "$token" ]]
