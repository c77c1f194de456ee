#!/usr/bin/env bash
# LoadCredential= in other units: given to the units of `access.units`, held until there is a token, refused to the rest.
. tests/systemd/inside/lib.sh

access='access = { units = ["bot.service", "bot@*.service"] }'
install_tokend < <(printf '%s\n' '[daemon]' 'credentials_socket = "/run/tokend/credentials.sock"'; partner; echo "$access"
  projectx; echo "$access")
px_key
# client UNIT CREDENTIAL [SOCKET]
client() {
  unit "$1" <<END
[Unit]
Wants=tokend.service
After=tokend.service
[Service]
Type=oneshot
RemainAfterExit=yes
LoadCredential=$2:${3-/run/tokend/credentials.sock}
ExecStart=sh -c 'cp \$CREDENTIALS_DIRECTORY/$2 /run/seen-%n'
TimeoutStartSec=60
END
}
client bot.service partner
client bot@.service partner
client stranger.service partner
client bot@slow.service px
client bot@unknown.service nosuch

# tokend comes first by itself.
systemctl start bot
[[ $(</run/seen-bot.service) == "$(tokend get partner)" ]]
systemctl start bot@one
[[ $(</run/seen-bot@one.service) == "$(tokend get partner)" ]]

for name in stranger bot@unknown; do
  refused 1 systemctl start "$name"
  is ExecMainStatus 243 "$name"
  [[ ! -e /run/seen-$name.service ]]
done
contains "$(messages --priority=warning)" 'event=client.denied'

# The upstream is not there yet: the unit waits, and so does nobody else.
systemctl start --no-block bot@slow
until_true 5 is ActiveState activating bot@slow
systemctl restart bot
[[ $(show ActiveState bot@slow) == activating && ! -e /run/seen-bot@slow.service ]]
start_sandbox
until_true 20 is ActiveState active bot@slow
[[ $(</run/seen-bot@slow.service) == "$(tokend get px)" ]]

# Held by systemd: the same, and it is systemd's own while tokend is away.
systemctl stop tokend
systemctl start tokend-credentials.socket
client bot.service partner /run/tokend-credentials.sock
systemctl start tokend
systemctl restart bot
[[ $(</run/seen-bot.service) == "$(tokend get partner)" ]]
[[ $(stat -c %a /run/tokend-credentials.sock) == 600 ]]

# A name that anybody can take is believed of root alone.
cat >/run/forger.py <<'END'
import socket
forger = socket.socket(socket.AF_UNIX)
forger.bind("\0deadbeef/unit/bot.service/partner")
forger.connect("/run/tokend-credentials.sock")
got = forger.recv(100)
print(len(got), len(got.strip(b"\0")))
END
chmod 666 /run/tokend-credentials.sock
[[ $(setpriv --reuid=nobody --regid=nogroup --clear-groups python3 /run/forger.py) == '0 0' ]]
