#!/usr/bin/env bash
# With tokend.socket, systemd holds the socket: through a restart and a crash nobody who connects is refused.
. tests/systemd/inside/lib.sh

install_tokend < <(partner)
systemctl start tokend.socket
[[ $(stat -c '%a %U:%G' /run/tokend.sock) == '660 root:tokend-clients' && $(show ActiveState) == inactive ]]
# The first reader starts it, and waits for it.
token=$(tokend get partner --wait 10s)
[[ $(show ActiveState) == active && $(stat -c '%a %U:%G' /run/tokend.sock) == '660 root:tokend-clients' ]]
useradd --system --groups tokend-clients member
[[ $(setpriv --reuid=member --regid=member --init-groups /opt/tokend/bin/tokend get partner) == "$token" ]]

cat >/run/reader.py <<'END'
"""Ask for the token on a new connection each time, until told to stop; say what went wrong."""
import socket, sys
from pathlib import Path

asked, wrong = 0, []
while not Path("/run/enough").exists():
    reader = socket.socket(socket.AF_UNIX)
    reader.settimeout(30)
    try:
        reader.connect("/run/tokend.sock")
        reader.sendall(b"GET /v1/tokens/partner HTTP/1.1\r\nHost: tokend\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := reader.recv(65536):
            answer += part
        if not answer.startswith(b"HTTP/1.1 200 "):
            wrong.append(answer[:40])
    except OSError as error:
        wrong.append(repr(error))
    asked += 1
    reader.close()
print(asked, wrong)
sys.exit(bool(wrong) or asked < 20)
END
systemd-run --quiet --unit=reader --property=RemainAfterExit=yes /usr/bin/python3 /run/reader.py
for _ in 1 2 3; do
  systemctl restart tokend
  [[ $(tokend get partner) == "$token" ]]
done
touch /run/enough
until_true 40 is SubState exited reader
journalctl --quiet --no-pager --output=cat --unit=reader | tail -1

# A crash takes what it had accepted with it; who uses the client does not notice.
cat >/run/client.py <<'END'
from pathlib import Path
from tokend.client import TokenClient

asked = 0
while not Path("/run/enough-clients").exists():
    TokenClient("/run/tokend.sock").get("partner")
    asked += 1
print(asked)
assert asked > 20
END
systemd-run --quiet --unit=clients --property=RemainAfterExit=yes /opt/tokend/bin/python3 /run/client.py
for _ in 1 2 3; do
  pid=$(show MainPID)
  kill -KILL "$pid"
  started_anew() { [[ $(show MainPID) != "$pid" && $(show ActiveState) == active ]]; }
  until_true 20 started_anew
  [[ $(tokend get partner) == "$token" ]]
done
touch /run/enough-clients
until_true 40 is SubState exited clients
systemctl stop tokend
[[ -S /run/tokend.sock ]]
