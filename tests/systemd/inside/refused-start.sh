#!/usr/bin/env bash
# A wrong configuration, or a state that another instance holds: tokend says which, and systemd does not try again.
. tests/systemd/inside/lib.sh

install_tokend <<<'[providers.partner]'
refused 1 systemctl start tokend
until_true 5 is ActiveState failed
[[ $(show ExecMainStatus)/$(show NRestarts) == 78/0 ]]
contains "$(messages)" "/etc/tokend/config.toml:1:"

partner >/etc/tokend/config.toml
systemctl reset-failed tokend
systemctl start tokend
# The same state, by a copy of the unit.
sed 's/^RuntimeDirectory=.*/RuntimeDirectory=second/' systemd/tokend.service | unit second.service
refused 1 systemctl start second
until_true 5 is ActiveState failed second
[[ $(show ExecMainStatus second)/$(show NRestarts second) == 75/0 ]]
[[ $(show ActiveState) == active ]]

# A reader who waits on the activated socket does not start it for ever.
systemctl stop tokend
echo 'no TOML' >>/etc/tokend/config.toml
systemctl start tokend.socket
# On a busy machine systemd gives up after this reader, who waits 40 s: then the next one learns it.
learns_it() { local status=0; /opt/tokend/bin/tokend get partner || status=$?; ((status == 3)); }
until_true 90 learns_it
[[ $(show ActiveState tokend.socket) == failed ]]
(($(messages --priority=info | grep -c 'not TOML') <= 15))
