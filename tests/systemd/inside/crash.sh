#!/usr/bin/env bash
# kill -9: systemd starts tokend again, the same token is served from the state, files stay, and nobody logs in.
. tests/systemd/inside/lib.sh

start_sandbox
install_tokend < <(projectx; printf '%s\n' '[[providers.px.sinks]]' 'kind = "raw"' 'path = "/run/tokend/px.token"')
px_key
systemctl start tokend
until_true 20 test -s /run/tokend/px.token
before=$(tokend get px)
file=$(stat -c %i /run/tokend/px.token)
pid=$(show MainPID)

kill -KILL "$pid"
# While nobody serves, the file is there.
[[ $(</run/tokend/px.token) == "$before" ]]
started_anew() { [[ $(show MainPID) != "$pid" && $(show ActiveState) == active ]]; }
until_true 20 started_anew
[[ $(tokend get px) == "$before" && $(</run/tokend/px.token) == "$before" ]]
# Not even written again.
[[ $(stat -c %i /run/tokend/px.token) == "$file" ]]
[[ $(show NRestarts) == 1 && $(requests projectx) == 1 ]]
