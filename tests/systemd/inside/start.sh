#!/usr/bin/env bash
# From nothing to READY, with the upstream down; what is where, whose it is; then the upstream comes.
. tests/systemd/inside/lib.sh

install_tokend < <(projectx; partner; printf '%s\n' '[[providers.partner.sinks]]' 'kind = "raw"' \
  'path = "/run/tokend/partner.jwt"' 'mode = "0640"' 'group = "tokend-clients"' '[[providers.partner.sinks]]' \
  'kind = "raw"' 'path = "/run/tokend/other-group.jwt"' 'mode = "0640"' 'group = "tokend"')
px_key

systemctl start tokend
[[ $(show ActiveState) == active && $(show Type) == notify ]]
curl -sf --unix-socket /run/tokend/tokend.sock http://localhost/livez >/dev/null
until_true 10 says "2 tokens, 1 failing: px ("
until_true 5 test -s /run/tokend/partner.jwt
until_true 5 test -s /run/tokend/other-group.jwt

[[ $(stat -c '%a %U:%G' /run/tokend) == '750 tokend:tokend-clients' ]]
[[ $(stat -c '%a %U:%G' /run/tokend/tokend.sock) == '660 tokend:tokend-clients' ]]
[[ $(stat -c '%a %U:%G' /run/tokend/partner.jwt) == '640 tokend:tokend-clients' ]]
[[ $(stat -c '%a %U:%G' /run/tokend/other-group.jwt) == '640 tokend:tokend' ]]
[[ $(stat -c '%a %U' /var/lib/tokend) == '700 tokend' ]]
[[ $(stat -c '%a %U:%G' /etc/tokend/config.toml) == '640 root:tokend' ]]

start_sandbox
until_true 30 says "2 tokens, all well"
[[ $(requests projectx) == 1 ]]
# Nothing of the installation is worth a warning of systemd's own.
lacks "$(messages)" "already exists but the mode is different"
lacks "$(journalctl --quiet --no-pager --priority=warning _PID=1)" tokend

systemctl stop tokend
[[ $(show Result) == success && ! -e /run/tokend ]]
