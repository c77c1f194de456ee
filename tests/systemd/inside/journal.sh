#!/usr/bin/env bash
# What an operator reads: warnings alone by priority, an event on a line, and nothing secret at any level.
. tests/systemd/inside/lib.sh

start_sandbox
install_tokend < <(printf '%s\n' '[daemon]' 'log_level = "debug"'; projectx; partner)
px_key obviously-wrong-key
systemctl start tokend
until_true 20 says "px (rejected: "
echo "secret = \"$FAKE_KEY\"" >>/etc/tokend/config.toml
refused 1 systemctl reload tokend

main=$(show MainPID)
warnings=$(messages --priority=warning "_PID=$main")
everything=$(journalctl --quiet --no-pager --output=cat)
contains "$warnings" 'event=token.rejected token=px'
contains "$warnings" 'event=config.refused'
while read -r line; do
  [[ $line =~ ^level=(warning|error)\ event=[a-z_.]+ ]] || fail "no warning on one line: $line"
done <<<"$warnings"
contains "$(messages --priority=info "_PID=$main")" 'level=info event=daemon.ready'
contains "$(messages --priority=debug "_PID=$main")" 'event=token.refreshed token=partner'
[[ $(grep -c event=token.rejected <<<"$warnings") == 1 ]]
# The reload and the watched file are two ways to one refusal.
[[ $(grep -c event=config.refused <<<"$warnings") == 1 ]]
for secret in "$FAKE_KEY" obviously-wrong-key "$(tokend get partner)"; do
  lacks "$everything" "$secret"
done
