#!/usr/bin/env bash
# state = "fdstore": no token on a disk; a restart and a crash cost no login, a stop does.
. tests/systemd/inside/lib.sh

start_sandbox
install_tokend < <(printf '%s\n' '[daemon]' 'state = "fdstore"'; projectx)
px_key
systemctl start tokend
token=$(tokend get px --wait 20s)
[[ $(show NFileDescriptorStore) == 1 ]]

systemctl restart tokend
[[ $(tokend get px) == "$token" ]]
pid=$(show MainPID)
kill -KILL "$pid"
started_anew() { [[ $(show MainPID) != "$pid" && $(show ActiveState) == active ]]; }
until_true 20 started_anew
[[ $(tokend get px) == "$token" && $(requests projectx) == 1 ]]
if grep --recursive --quiet --fixed-strings -e "$token" /var/lib/tokend; then fail "the token is on the disk"; fi

systemctl stop tokend
[[ $(show NFileDescriptorStore) == 0 ]]
systemctl start tokend
[[ $(tokend get px --wait 20s) != "$token" && $(requests projectx) == 2 ]]
