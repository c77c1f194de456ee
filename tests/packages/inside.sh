#!/usr/bin/env bash
# A life of the package, as root in a booted systemd: install, serve, upgrade while running, remove, install, purge.
# Arguments: two packages, the second of a higher version.
set -euo pipefail
trap 'set +e; echo "FAILED at line $LINENO: $BASH_COMMAND"; journalctl --no-pager --lines=40 --unit=tokend' ERR
first=$1 second=$2
export DEBIAN_FRONTEND=noninteractive

fail() { echo "FAILED: $*"; exit 1; }
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || fail "still not so: $*"
    sleep 0.05
  done
}
# As somebody who may read tokens, through nothing but the installed command.
as_reader() { setpriv --reuid=reader --regid=reader --init-groups tokend "$@"; }
state() { systemctl show --value --property=ActiveState "$1"; }

# Neither this machine's Python packages nor its home directories count.
cd /

dpkg -i "$first" | tee /run/installing
grep -q 'Write /etc/tokend/config.toml' /run/installing || fail "no word of what to do next"
[[ $(state tokend) == inactive ]] || fail "started without a configuration"
[[ $(systemctl is-enabled tokend || true) == disabled ]] || fail "enabled without being asked to"
[[ $(stat -c '%a %U:%G' /etc/tokend) == '750 root:tokend' ]] || fail "wrong owner or mode of /etc/tokend"
[[ -z $(dpkg --verify tokend) ]] || fail "installed files differ from the package's: $(dpkg --verify tokend)"
# Names of the place where it was built would end in a broken program, or in tracebacks that lead nowhere.
! grep -rlE --exclude=METADATA '/tmp/tmp|/opt/tokend|/srv/project' /usr/lib/tokend/bin /usr/lib/tokend/pyvenv.cfg \
  /usr/lib/tokend/lib/python3*/site-packages/tokend* /usr/lib/systemd/system/tokend* /usr/share/man/man?/tokend* ||
  fail "it names the place where it was built"
python3 -I - <<'PYTHON' || fail "the list of its parts is not complete, or names the place where it was built"
import json
text = open("/usr/share/doc/tokend/sbom.cdx.json").read()
parts = {part["name"].lower() for part in json.loads(text)["components"]}
assert parts >= {"tokend", "anyio", "httpx", "pyjwt", "pydantic", "uvloop"}, parts
assert "file:" not in text and "/tmp" not in text
PYTHON
# A key for the state, which opens; the drop-in that passes it on, and no key where none can be made.
key=/etc/credstore.encrypted/tokend-state-key drop_in=/etc/systemd/system/tokend.service.d/50-state-key.conf
[[ $(stat -c %a:%U "$key") == 600:root ]] || fail "no key for the state, or others may read it"
[[ $(systemd-creds decrypt --name=tokend-state-key "$key" - | wc -c) == 32 ]] || fail "the key has not 32 bytes"
[[ $(systemctl show --property=DropInPaths tokend) == *"$drop_in"* ]] || fail "systemd does not know the drop-in"
made=$(sha256sum "$key")
tokend init --output - >/run/example
grep -qx 'state_key = { credential = "tokend-state-key" }' /run/example || fail "init does not write the key"
systemd-analyze verify /usr/lib/systemd/system/tokend.{service,socket} /usr/lib/systemd/system/tokend-{credentials,loopback}.socket
[[ $(tokend version) == *0.* ]] || fail "tokend does not run"
docker-credential-tokend --help | grep -q 'docker' || fail "docker-credential-tokend does not run"
for page in tokend.1 config.toml.5 tokend-api.7; do
  zcat "/usr/share/man/man${page##*.}/$page.gz" >/run/page
  grep -q '^\.Sh NAME' /run/page || fail "no man page $page"
done

echo obviously-fake-and-long-enough-for-HS256 >/etc/tokend/partner.secret
cat >/etc/tokend/config.toml <<'CONFIG'
[daemon]
state_key = { credential = "tokend-state-key" }

[providers.partner]
kind = "jwt"
secret = { file = "/etc/tokend/partner.secret" }
ttl = "1h"
claims = { clientId = "a-client" }

[[providers.partner.sinks]]
kind = "raw"
path = "/run/tokend/partner.jwt"

[[providers.partner.sinks]]
kind = "raw"
path = "/run/tokend/desk.jwt"
mode = "0640"
group = "desk"

# Version 0.1.0 accepted this, and gave the file to the group of all clients.
[[providers.partner.sinks]]
kind = "raw"
path = "/run/tokend/no-group.jwt"
mode = "0640"
CONFIG
groupadd --system desk
usermod --append --groups desk tokend
chown root:tokend /etc/tokend/*
chmod 640 /etc/tokend/*
useradd --system --no-create-home --user-group reader
systemctl enable --now tokend

if as_reader get partner; then fail "somebody outside of tokend-clients was served"; fi
usermod --append --groups tokend-clients reader
as_reader get --wait 5s partner >/run/before
[[ $(cat /run/tokend/partner.jwt) == "$(cat /run/before)" ]] || fail "the file holds another token"
process=$(systemctl show --value --property=MainPID tokend)
[[ $(head -c 15 /var/lib/tokend/tokens/partner.json) == 'tokend sealed 1' ]] || fail "the state is in clear"
tokend status >/run/status
if grep -q 'state is in clear' /run/status; then fail "the status says that the state is in clear"; fi

groups_of_files() {
  [[ $(stat -c %U:%G:%a /run/tokend/{desk,no-group}.jwt) == $'tokend:desk:640\ntokend:tokend:640' ]] &&
    [[ $(stat -c %G /run/tokend) == tokend-clients ]]
}
until_true 10 groups_of_files
if tokend check /etc/tokend/config.toml >/run/check 2>&1; then fail "rights of a group without its name are accepted"; fi
grep -q 'add group = ' /run/check || fail "no word of the key that helps: $(cat /run/check)"

# The whole upgrade under readers: what they see of it is one restart. As 0.1.0 left it, every client can read the file.
chgrp tokend-clients /run/tokend/no-group.jwt
(
  trap - ERR
  while [[ ! -e /run/upgraded ]]; do
    if token=$(as_reader get partner 2>/run/refusal); then printf '%s %s\n' "$(date +%s%N)" "${token##*.}"; fi
  done
) >/run/seen &
reader=$!
until_true 5 test -s /run/seen
dpkg -i "$second" >/run/upgrading
until_true 10 as_reader get partner
before=$(wc -l </run/seen)
more_seen() { (($(wc -l </run/seen) > before)); }
until_true 10 more_seen
touch /run/upgraded
wait "$reader"
[[ $(systemctl show --value --property=MainPID tokend) != "$process" ]] || fail "the old version still runs"
[[ $(dpkg-query -W -f '${Version}' tokend) == "$(dpkg-deb -f "$second" Version)" ]] || fail "not upgraded"
[[ $(as_reader get partner) == "$(cat /run/before)" ]] || fail "the token did not survive the upgrade"
until_true 10 groups_of_files
[[ $(cut -d' ' -f2 /run/seen | sort -u | wc -l) == 1 ]] || fail "readers saw more than one token"
awk '{ gap = ($1 - last) / 1e9; if (NR > 1 && gap > widest) widest = gap; last = $1 }
  END { printf "widest gap between two answers: %.1f s\n", widest; exit widest > 8 }' /run/seen ||
  fail "a gap longer than a restart takes"

# A configuration that is refused: the package is installed all the same, and says where to look.
cp /etc/tokend/config.toml /run/good.toml
echo 'kind = "nonsense"' >>/etc/tokend/config.toml
dpkg -i "$first" >/run/downgrading 2>&1 || fail "a bad configuration breaks dpkg: $(cat /run/downgrading)"
grep -q 'journalctl -u tokend' /run/downgrading || fail "no word of the failed restart"
cat /run/good.toml >/etc/tokend/config.toml
systemctl restart tokend
[[ $(as_reader get partner) == "$(cat /run/before)" ]] || fail "the token did not survive"

[[ $(sha256sum "$key") == "$made" ]] || fail "an upgrade made another key"

dpkg -L tokend | sort >/run/owned
dpkg -r tokend >/dev/null
[[ $(state tokend) == inactive && ! -e /run/tokend && ! -e /usr/bin/tokend && ! -e /usr/lib/tokend ]] || fail "not removed"
[[ -s /etc/tokend/config.toml && -d /var/lib/tokend ]] || fail "a removal took configuration or state along"

# Again: as it was before, enabled and configured.
dpkg -i "$second" >/dev/null
[[ $(systemctl is-enabled tokend) == enabled ]] || fail "forgot that it was enabled"
systemctl start tokend
[[ $(as_reader get --wait 5s partner) == "$(cat /run/before)" ]] || fail "the token did not survive the removal"

dpkg --purge tokend >/dev/null
while read -r path; do
  [[ ! -e $path && ! -L $path ]] || [[ -d $path && ! $path == *tokend* ]] || fail "left: $path"
done </run/owned
[[ ! -e $key && ! -e $drop_in && ! -e ${drop_in%/*} ]] || fail "a purge leaves the key of the state"
left=$(find /etc /usr /var \( -path /var/cache -o -path /var/tmp \) -prune -o -name '*tokend*' -print)
[[ -z $left ]] || fail "left: $left"
[[ ! -e /etc/tokend && ! -e /var/lib/tokend && ! -e /run/tokend ]] || fail "a purge leaves configuration or state"
[[ -z $(systemctl list-unit-files --no-legend 'tokend*') ]] || fail "systemd still knows the units"
[[ -z $(systemctl list-units --all --no-legend 'tokend*') ]] || fail "systemd still has the units"
getent passwd tokend >/dev/null && getent group tokend-clients >/dev/null || fail "ids are free for somebody else"
# Where no key can be made, there is no drop-in that would stop the service, and dpkg goes on.
mount --bind /bin/false /usr/bin/systemd-creds
dpkg -i "$second" >/run/installing
umount /usr/bin/systemd-creds
grep -q 'No key for the state was made' /run/installing || fail "no word of the key that is not there"
[[ ! -e $key && ! -e $drop_in ]] || fail "half a key is left"
tokend init --output - >/run/example
if grep -q '^state_key' /run/example; then fail "init writes a key that is not there"; fi
dpkg --purge tokend >/dev/null
echo "the package lived and died well"
