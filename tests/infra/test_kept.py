"""What is kept: encrypted, for as long as is said, and not deleted with its stack."""

import json
from typing import Any

from tests.infra.conftest import ACCOUNT, Stacks

STATE = (
    "KMS::Key",
    "Kinesis::Stream",
    "DynamoDB::Table",
    "S3::Bucket",
    "SNS::Topic",
    "SQS::Queue",
    "SecretsManager::Secret",
    "OpenSearchService::Domain",
    "Logs::LogGroup",
    "Glue::Database",
    "Athena::WorkGroup",
)


def key(stacks: Stacks) -> str:
    (name,) = stacks.of("KMS::Key")
    return name


def test_what_is_kept_outlives_its_stack(stacks: Stacks) -> None:
    for kind in STATE:
        found = stacks.of(kind)
        assert found, kind
        for name, made in found.items():
            assert made["DeletionPolicy"] == "Retain", name
            assert made["UpdateReplacePolicy"] == "Retain", name
        assert not stacks.of(kind, runs=True)


def test_the_stream_keeps_a_week_under_the_key(stacks: Stacks) -> None:
    stream = stacks.only("Kinesis::Stream")
    assert stream["RetentionPeriodHours"] == 7 * 24
    assert stream["StreamEncryption"]["EncryptionType"] == "KMS"
    assert key(stacks) in json.dumps(stream["StreamEncryption"]["KeyId"])
    assert (stream["ShardCount"], stream["StreamModeDetails"]) == (
        2,
        {"StreamMode": "PROVISIONED"},
    )


def test_the_ledger_can_be_brought_back(stacks: Stacks) -> None:
    table = stacks.only("DynamoDB::Table")
    assert table["KeySchema"] == [{"AttributeName": "ledger_key", "KeyType": "HASH"}]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["DeletionProtectionEnabled"] is True
    assert table["SSESpecification"]["SSEEnabled"] is True


def test_the_key_is_rotated_and_nobody_outside_may_use_it(stacks: Stacks) -> None:
    made = stacks.only("KMS::Key")
    assert made["EnableKeyRotation"] is True
    for statement in made["KeyPolicy"]["Statement"]:
        if "Service" in statement["Principal"]:
            assert statement["Condition"], statement
            assert not [action for action in statement["Action"] if "*" in action]


def test_queues_and_topics_are_encrypted_and_refuse_plain_http(stacks: Stacks) -> None:
    for queue in stacks.of("SQS::Queue").values():
        assert queue["Properties"]["KmsMasterKeyId"]
        assert queue["Properties"]["MessageRetentionPeriod"] == 14 * 86_400
        # Looking at letters is a reading: SQS would move them away.
        assert "RedrivePolicy" not in queue["Properties"]
    for topic in stacks.of("SNS::Topic").values():
        # What tells of trouble does not need the key: it may be the trouble.
        encrypted = "KmsMasterKeyId" in topic["Properties"]
        assert encrypted == (topic["Properties"]["TopicName"] == "tillwatch-pages")
    kinds = ("S3::Bucket", "SQS::Queue", "SNS::Topic")
    policies = [*stacks.of("S3::BucketPolicy").values(), *stacks.of("SQS::QueuePolicy").values()]
    policies += stacks.of("SNS::TopicPolicy").values()
    held = json.dumps([made for made in policies if refuses_plain_http(made)])
    for name in (name for kind in kinds for name in stacks.of(kind)):
        assert f'"{name}"' in held, name


def refuses_plain_http(policy: Any) -> bool:
    return any(
        statement["Effect"] == "Deny"
        and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    )


def test_alarms_may_be_told_to_their_topic(stacks: Stacks) -> None:
    said = [
        statement
        for policy in stacks.of("SNS::TopicPolicy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    ]
    assert [statement["Action"] for statement in said] == ["sns:Publish"]
    assert said[0]["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    # Pages that cannot be delivered go into an encrypted queue.
    assert "sns.amazonaws.com" in json.dumps(stacks.only("KMS::Key")["KeyPolicy"])


def test_the_pseudonym_key_is_made_once(stacks: Stacks) -> None:
    """CloudFormation makes another one whenever this changes, and no shop knows its cards."""
    assert stacks.only("SecretsManager::Secret")["GenerateSecretString"] == {
        "ExcludePunctuation": True,
        "GenerateStringKey": "key",
        "PasswordLength": 48,
        "SecretStringTemplate": '{"old": []}',
    }


def test_opensearch_is_closed(stacks: Stacks) -> None:
    domain = stacks.only("OpenSearchService::Domain")
    assert domain["EngineVersion"] == "OpenSearch_2.19"
    assert domain["EncryptionAtRestOptions"]["Enabled"] is True
    assert domain["NodeToNodeEncryptionOptions"] == {"Enabled": True}
    assert domain["DomainEndpointOptions"]["EnforceHTTPS"] is True
    assert domain["DomainEndpointOptions"]["TLSSecurityPolicy"].startswith("Policy-Min-TLS-1-2")
    assert domain["AdvancedSecurityOptions"]["Enabled"] is True
    assert domain["AdvancedSecurityOptions"]["InternalUserDatabaseEnabled"] is False
    assert len(domain["VPCOptions"]["SubnetIds"]) == 3
    assert domain["ClusterConfig"]["ZoneAwarenessConfig"] == {"AvailabilityZoneCount": 3}
    (domain_made,) = stacks.of("OpenSearchService::Domain").values()
    assert domain_made["UpdatePolicy"] == {"EnableVersionUpgrade": True}
    for statement in domain["AccessPolicies"]["Statement"]:
        assert "*" not in json.dumps(statement["Principal"])
        assert not [action for action in statement["Action"] if "*" in action]


def test_there_is_no_way_to_the_internet(stacks: Stacks) -> None:
    for kind in ("EC2::InternetGateway", "EC2::NatGateway", "EC2::EIP", "EC2::Route"):
        assert not stacks.of(kind), kind
    for subnet in stacks.of("EC2::Subnet").values():
        assert not subnet["Properties"].get("MapPublicIpOnLaunch")
    doors = {
        json.dumps(made["Properties"]["ServiceName"])
        for made in stacks.of("EC2::VPCEndpoint").values()
    }
    asked = "kinesis-streams sns sqs secretsmanager logs monitoring ecr.api ecr.dkr s3 dynamodb"
    for service in asked.split():
        assert any(f".{service}" in door for door in doors), service


def test_athena_ends_a_question_that_reads_too_much(stacks: Stacks) -> None:
    group = stacks.only("Athena::WorkGroup")["WorkGroupConfiguration"]
    assert group["BytesScannedCutoffPerQuery"] == 10 * 2**30
    assert group["EnforceWorkGroupConfiguration"] is True
    assert group["ResultConfiguration"]["OutputLocation"]
    assert group["ResultConfiguration"]["EncryptionConfiguration"]["EncryptionOption"] == "SSE_KMS"
