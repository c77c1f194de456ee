#!/usr/bin/env bash
# Readers by group, also of a unit's DynamicUser=; nobody else. A sink in another place, and a unit's EnvironmentFile=.
. tests/systemd/inside/lib.sh

useradd --system bot
install_tokend < <(partner; printf '%s\n' '[[providers.partner.sinks]]' 'kind = "dotenv"' 'path = "/srv/bot/.env"' \
  'key = "JWT_TOKEN"'
  partner | sed 's/partner/private/'; echo 'access = { users = ["member"] }')
install -d -o tokend -g bot -m 2750 /srv/bot
drop_in tokend.service sinks <systemd/drop-ins/sinks.conf
systemctl start tokend
token=$(tokend get partner --wait 10s)
useradd --system --groups tokend-clients member

[[ $(setpriv --reuid=member --regid=member --init-groups /opt/tokend/bin/tokend get partner) == "$token" ]]
# A user of access who is made later is known within 5 s.
until_true 10 setpriv --reuid=member --regid=member --init-groups /opt/tokend/bin/tokend get private
[[ $(setpriv --reuid=member --regid=member --init-groups /opt/tokend/bin/tokend get private) == eyJ* ]]
refused 6 setpriv --reuid=bot --regid=bot --init-groups /opt/tokend/bin/tokend get partner
dynamic() { systemd-run --quiet --wait --pipe --collect --property=DynamicUser=yes "$@"; }
[[ $(dynamic --property=SupplementaryGroups=tokend-clients /opt/tokend/bin/tokend get partner) == "$token" ]]
refused 5 dynamic --property=SupplementaryGroups=tokend-clients /opt/tokend/bin/tokend get private
refused 6 dynamic /opt/tokend/bin/tokend get partner

until_true 5 test -s /srv/bot/.env
# systemd reads the file as root: the unit's user need not.
# shellcheck disable=SC2016  # the unit's own shell expands it
[[ $(dynamic --property=EnvironmentFile=/srv/bot/.env sh -c 'printf %s "$JWT_TOKEN"') == "$token" ]]
