#!/usr/bin/env bash
# tokend for one user, who is not logged in: the user's own systemd runs it.
. tests/systemd/inside/lib.sh

useradd --create-home --shell /bin/bash bot
home=/home/bot
mkdir -p $home/.config/systemd/user $home/.config/tokend $home/.local/bin
cp systemd/user/tokend.service $home/.config/systemd/user/
ln -s /opt/tokend/bin/tokend $home/.local/bin/tokend
echo "$FAKE_KEY" >$home/fake.key
partner | sed "s|/etc/tokend/|$home/|" >$home/.config/tokend/config.toml
chmod 600 $home/fake.key
chown -R bot: $home
loginctl enable-linger bot
runtime=/run/user/$(id -u bot)
until_true 20 test -S "$runtime/systemd/private"
as_bot() { runuser -u bot -- env -C / "XDG_RUNTIME_DIR=$runtime" "$@"; }

as_bot systemctl --user enable --now tokend
contains "$(as_bot /opt/tokend/bin/tokend get partner --wait 10s)" eyJ
[[ $(as_bot systemctl --user show --value --property=StatusText tokend) == "1 token, all well" ]]
[[ $(stat -c '%a %U' "$runtime/tokend") == '700 bot' ]]
as_bot systemctl --user reload tokend
echo 'no TOML' >>$home/.config/tokend/config.toml
refused 1 as_bot systemctl --user reload tokend
as_bot systemctl --user stop tokend
