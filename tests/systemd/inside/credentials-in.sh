#!/usr/bin/env bash
# tokend's own secrets by LoadCredential= and LoadCredentialEncrypted=; a changed one counts after a restart.
. tests/systemd/inside/lib.sh

start_sandbox
install_tokend < <(projectx '{ credential = "px-key" }'; printf '%s\n' '[providers.tt]' 'kind = "tt"' \
  "base_url = \"$SANDBOX\"" 'environment = "uat"' 'api_key = { credential = "tt-key" }' \
  'api_secret = { credential = "tt-secret" }' 'app_name = "App"' 'company_name = "Company"')
install -m 600 /dev/stdin /etc/tokend/px.key <<<obviously-wrong-key
install -m 600 /dev/stdin /etc/tokend/tt.key <<<sandbox-tt-key
systemd-creds setup --quiet
systemd-creds encrypt --quiet --with-key=host --name=tt-secret - /etc/tokend/tt.secret.cred <<<sandbox-tt-secret
drop_in tokend.service credentials <<'END'
[Service]
LoadCredential=px-key:/etc/tokend/px.key
LoadCredential=tt-key:/etc/tokend/tt.key
LoadCredentialEncrypted=tt-secret:/etc/tokend/tt.secret.cred
END
# In a shell they are notes; with the unit they are read, as its user gets them.
notes=$(tokend check /etc/tokend/config.toml 2>&1 >/dev/null)
[[ $(grep -c 'is a credential of the unit' <<<"$notes") == 3 ]]
tokend check --unit tokend.service | grep -q ': ok, 2 providers'
systemctl start tokend
until_true 20 says "px (rejected: "
tokend get tt --wait 20s >/dev/null

# 252 does not read credentials again at a reload: a restart does.
echo sandbox-projectx-key >/etc/tokend/px.key
systemctl restart tokend
tokend get px --wait 20s >/dev/null
[[ $(requests tt) == 1 ]]

# It reads the configuration as the daemon's user does, with its variables and credentials: nothing is wrong.
tokend doctor
tokend doctor -o json | grep -q '"code": "unit"'
