"""Keys of sinks in AWS: endpoints by region, and exactly one way to credentials."""

from typing import Any

import pytest
from pydantic import ValidationError

from tokend.sinks.stores.aws_secretsmanager import AwsSecretsManagerSink
from tokend.sinks.stores.aws_ssm import AwsSsmSink

KEY = {"access_key_id": "AKIAFAKE", "secret_access_key": "planted-fake-secret"}
ROLE = "arn:aws:iam::123456789012:role/tokend"


def ssm(**keys: Any) -> AwsSsmSink:
    table = {"kind": "aws-ssm", "region": "eu-west-1", "parameter": "/app/token", **keys}
    return AwsSsmSink.model_validate(table, context={"directory": "/nowhere"})


@pytest.mark.parametrize(
    ("keys", "url"),
    [
        ({}, "https://ssm.eu-west-1.amazonaws.com"),
        ({"region": "cn-north-1"}, "https://ssm.cn-north-1.amazonaws.com.cn"),
        ({"endpoint_url": "https://vpce-0a1b.ssm.eu-west-1.vpce.amazonaws.com/"},
         "https://vpce-0a1b.ssm.eu-west-1.vpce.amazonaws.com"),
        ({"endpoint_url": "http://127.0.0.1:4566"}, "http://127.0.0.1:4566"),
    ],
)  # fmt: skip
def test_the_region_or_the_endpoint_says_where_requests_go(keys: dict[str, Any], url: str) -> None:
    """China's regions have a domain of their own. The host of the status is that of the URL."""
    assert ssm(**KEY, **keys).server_url == ("endpoint_url", url)


def test_the_host_of_a_service_is_shared_by_its_sinks() -> None:
    """Two parameters pause together, a secret does not pause with them."""
    table = {"kind": "aws-secretsmanager", "region": "eu-west-1", "secret_id": "app", **KEY}
    secret = AwsSecretsManagerSink.model_validate(table)
    assert ssm(**KEY).upstream == ssm(**KEY, parameter="/other").upstream == "ssm.eu-west-1.amazonaws.com:443"
    assert secret.upstream == "secretsmanager.eu-west-1.amazonaws.com:443"


@pytest.mark.parametrize(
    ("keys", "what"),
    [
        ({}, "in no way"),
        ({**KEY, "credentials": {"command": ["/bin/true"]}}, "in two ways"),
        ({**KEY, "web_identity_token_file": "/t", "role_arn": ROLE}, "in two ways"),
        ({"access_key_id": "AKIAFAKE"}, "access_key_id and secret_access_key belong together"),
        ({"role_arn": ROLE}, "web_identity_token_file and role_arn belong together"),
        ({"credentials": {"command": ["/bin/true"]}, "session_token": "x"}, "session_token belongs to"),
    ],
)
def test_credentials_are_given_in_one_way(keys: dict[str, Any], what: str) -> None:
    """Nothing is guessed: which of two would be used?"""
    with pytest.raises(ValidationError, match=what) as refused:
        ssm(**keys)
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize(
    "keys",
    [
        {"region": "EU WEST"},
        {"region": "eu-west-1.evil.example/"},
        {"endpoint_url": "http://ssm.example.com"},
        {"endpoint_url": "https://user:planted-fake@ssm.example.com"},
        {"sts_endpoint_url": "ftp://sts.example.com"},
        {"role_arn": "tokend", "web_identity_token_file": "/t"},
        {"parameter": "/app token"},
    ],
)
def test_a_value_that_would_send_requests_elsewhere_is_refused(keys: dict[str, Any]) -> None:
    """And is not quoted."""
    with pytest.raises(ValidationError) as refused:
        ssm(**{**KEY, **keys})
    assert "planted" not in str(refused.value)


def test_each_way_is_accepted_alone() -> None:
    """An access key, temporary or not; the output of a credential_process; a web identity."""
    assert ssm(**KEY, session_token="planted-fake").secrets().keys() == {*KEY, "session_token"}
    assert ssm(credentials={"command": ["/bin/true"]}).secrets().keys() == {"credentials"}
    assert ssm(web_identity_token_file="token", role_arn=ROLE).sts_url == "https://sts.eu-west-1.amazonaws.com"
