"""Clients of the AWS that moto plays in this process: for what single calls do."""

from typing import Any

import boto3
from botocore.config import Config

REGION = "us-east-1"


def client(service: str) -> Any:
    """A client that tries nothing twice: waiting is what is tested. Within mock_aws."""
    return boto3.client(
        service,
        region_name=REGION,
        aws_access_key_id="made-up",
        aws_secret_access_key="made-up",
        config=Config(retries={"total_max_attempts": 1}),
    )


def create_ledger_table(dynamodb: Any, name: str = "ledger") -> str:
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "ledger_key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "ledger_key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name
