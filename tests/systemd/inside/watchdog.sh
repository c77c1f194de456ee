#!/usr/bin/env bash
# A loop that stands still feeds nobody: systemd ends it and starts tokend anew, without a login.
. tests/systemd/inside/lib.sh

start_sandbox
install_tokend < <(projectx)
px_key
drop_in tokend.service watchdog <<<$'[Service]\nWatchdogSec=2s'
systemctl start tokend
before=$(tokend get px --wait 20s)
pid=$(show MainPID)

kill -STOP "$pid"
started_anew() { [[ $(show MainPID) != "$pid" && $(show ActiveState) == active ]]; }
until_true 20 started_anew
contains "$(journalctl --quiet --no-pager UNIT=tokend.service)" "Watchdog timeout"
# faulthandler: where the loop stood.
contains "$(messages)" "Fatal Python error: Aborted"
[[ $(tokend get px) == "$before" && $(requests projectx) == 1 ]]
