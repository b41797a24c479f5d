"""The network: private subnets with no way to the internet, and doors to AWS's services.

Records of customers pass through the workers; from here they can go to AWS alone.
"""

from typing import Any, Final

import msgspec
from aws_cdk import aws_ec2 as ec2

from infra.plan import Plan

HTTPS: Final = 443
SERVICES: Final = (
    "KINESIS_STREAMS",
    "SNS",
    "SQS",
    "SECRETS_MANAGER",
    "CLOUDWATCH_LOGS",
    "CLOUDWATCH_MONITORING",
    "ECR",
    "ECR_DOCKER",
)
"""What a worker, and what starts one, calls through a door that is paid by the hour."""
DOOR_ZONES_MAX: Final = 2
"""Doors in so many zones: each costs as much again, and two do not fail together."""


class Network(msgspec.Struct, frozen=True):
    """The constructs that others refer to."""

    vpc: Any
    inside: Any
    workers: Any
    search: Any


def network(stack: Any, plan: Plan) -> Network:
    """The VPC, its doors, and who may talk to whom: workers to AWS and to OpenSearch, by HTTPS."""
    vpc = ec2.Vpc(
        stack,
        "vpc",
        availability_zones=[*plan.zones],
        nat_gateways=0,
        create_internet_gateway=False,
        subnet_configuration=[
            ec2.SubnetConfiguration(
                name="inside", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=22
            )
        ],
        gateway_endpoints={
            "s3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
            "dynamodb": ec2.GatewayVpcEndpointOptions(
                service=ec2.GatewayVpcEndpointAwsService.DYNAMODB
            ),
        },
    )
    workers = _group(stack, vpc, "workers", "Workers; nobody calls them")
    # S3 and DynamoDB have addresses of their own, and nothing else is routed beyond the VPC.
    workers.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(HTTPS), "AWS and OpenSearch")
    doors = _group(stack, vpc, "doors", "Doors to services of AWS")
    search = _group(stack, vpc, "search", "OpenSearch")
    for group in (doors, search):
        group.add_ingress_rule(workers, ec2.Port.tcp(HTTPS), "the workers")
    for service in SERVICES:
        ec2.InterfaceVpcEndpoint(
            stack,
            service.lower().replace("_", "-"),
            vpc=vpc,
            service=getattr(ec2.InterfaceVpcEndpointAwsService, service),
            subnets=ec2.SubnetSelection(availability_zones=[*plan.zones[:DOOR_ZONES_MAX]]),
            security_groups=[doors],
            open=False,
            private_dns_enabled=True,
        )
    inside = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
    return Network(vpc=vpc, inside=inside, workers=workers, search=search)


def _group(stack: Any, vpc: Any, name: str, meaning: str) -> Any:
    return ec2.SecurityGroup(
        stack, f"{name}-group", vpc=vpc, description=meaning, allow_all_outbound=False
    )
