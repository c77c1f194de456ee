#!/usr/bin/env bash
# A sink may have systemd reload its reader's unit, by a rule of polkit's that names the unit; without it, it is refused.
. tests/systemd/inside/lib.sh

command -v pkaction >/dev/null || { echo "there is no polkit here" >&2; exit 77; }
unit bot.service <<'END'
[Service]
ExecStart=sleep infinity
ExecReload=touch /run/bot-reloaded
END
systemctl start bot
install_tokend < <(partner; printf '%s\n' '[[providers.partner.sinks]]' 'kind = "raw"' 'path = "/run/tokend/partner.jwt"' \
  'systemd = { unit = "bot.service", action = "try-reload-or-restart" }')
systemctl start tokend
until_true 15 says "sink raw-1: systemd: systemctl failed"
[[ ! -e /run/bot-reloaded ]]

cp systemd/polkit-1/rules.d/50-tokend.rules /etc/polkit-1/rules.d/
systemctl restart polkit
until_true 30 test -e /run/bot-reloaded
until_true 10 says "1 token, all well"
