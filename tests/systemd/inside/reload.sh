#!/usr/bin/env bash
# systemctl reload returns once the new configuration is in force, and fails if it was refused; nothing stops for either.
. tests/systemd/inside/lib.sh

install_tokend < <(partner)
systemctl start tokend
before=$(tokend get partner --wait 10s)
pid=$(show MainPID)

partner | sed 's/partner/second/' >>/etc/tokend/config.toml
systemctl reload tokend
# In force: no waiting here.
contains "$(tokend list)" second

echo 'no TOML' >>/etc/tokend/config.toml
refused 1 systemctl reload tokend
[[ $(show ActiveState)/$(show MainPID) == "active/$pid" ]]
[[ $(tokend get partner) == "$before" ]]
until_true 5 says "2 tokens, all well; the configuration on disk was refused"

sed -i '$d' /etc/tokend/config.toml
systemctl reload tokend
until_true 5 is StatusText "2 tokens, all well"
