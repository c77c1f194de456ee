#!/usr/bin/env bash
# Every unit is valid, and the service is as closed as it was measured.
. tests/systemd/inside/lib.sh

verify() {
  local said
  said=$(systemd-analyze verify "$@" 2>&1) && [[ -z $said ]] || fail "$*: $said"
}

install_tokend < <(partner)
verify /etc/systemd/system/tokend*
systemd-analyze security --offline=true --threshold=14 systemd/tokend.service >/dev/null
for file in systemd/drop-ins/*; do
  drop_in tokend.service one <"$file"
  verify /etc/systemd/system/tokend.service
done

# A user's manager looks below the user's home.
mkdir -p ~/.config/systemd/user ~/.local/bin
cp systemd/user/* ~/.config/systemd/user/
ln -s /opt/tokend/bin/tokend ~/.local/bin/
XDG_RUNTIME_DIR=/run verify --user ~/.config/systemd/user/tokend*
