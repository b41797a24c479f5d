"""The OpenSearch domain: in the VPC, encrypted on every way and at rest, with rights by role."""

from typing import Any, Final

from aws_cdk import CfnUpdatePolicy, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_opensearchservice as opensearch

from infra.network import Network
from infra.plan import Plan

VERSION: Final = "OpenSearch_2.19"
"""The newest 2.x, which Tillwatch is tested with; docs/operations.md, "OpenSearch"."""
ZONES_MAX: Final = 3
_TLS: Final = "Policy-Min-TLS-1-2-PFS-2023-10"


def domain_arn(plan: Plan) -> str:
    """The domain's ARN, worked out: its own access policy cannot refer to it."""
    return f"arn:aws:es:{plan.region}:{plan.account}:domain/{plan.application}"


def domain(
    stack: Any, plan: Plan, network: Network, key: Any, *, worker: Any, operator: Any
) -> Any:
    """The domain. `operator`, a role, may do everything; `worker` what it is then given.

    Within the domain a role has the rights that `infra/search_rights.py` gives it.
    """
    log = _log(stack, plan, key)
    zones = min(plan.search_nodes, len(plan.zones), ZONES_MAX)
    made = opensearch.CfnDomain(
        stack,
        "search",
        domain_name=plan.application,
        engine_version=VERSION,
        cluster_config=_nodes(plan, zones),
        ebs_options=opensearch.CfnDomain.EBSOptionsProperty(
            ebs_enabled=True, volume_type="gp3", volume_size=plan.search_gib
        ),
        vpc_options=opensearch.CfnDomain.VPCOptionsProperty(
            subnet_ids=network.vpc.select_subnets(
                availability_zones=[*plan.zones[:zones]]
            ).subnet_ids,
            security_group_ids=[network.search.security_group_id],
        ),
        encryption_at_rest_options=opensearch.CfnDomain.EncryptionAtRestOptionsProperty(
            enabled=True, kms_key_id=key.key_id
        ),
        node_to_node_encryption_options=opensearch.CfnDomain.NodeToNodeEncryptionOptionsProperty(
            enabled=True
        ),
        domain_endpoint_options=opensearch.CfnDomain.DomainEndpointOptionsProperty(
            enforce_https=True, tls_security_policy=_TLS
        ),
        advanced_security_options=opensearch.CfnDomain.AdvancedSecurityOptionsInputProperty(
            enabled=True,
            internal_user_database_enabled=False,
            master_user_options=opensearch.CfnDomain.MasterUserOptionsProperty(
                master_user_arn=operator.role_arn
            ),
        ),
        access_policies={
            "Version": "2012-10-17",
            "Statement": [
                _may(worker, plan, "Get", "Head", "Post", "Put"),
                _may(operator, plan, "Get", "Head", "Post", "Put", "Delete"),
            ],
        },
        log_publishing_options={
            "ES_APPLICATION_LOGS": opensearch.CfnDomain.LogPublishingOptionProperty(
                cloud_watch_logs_log_group_arn=log.log_group_arn, enabled=True
            )
        },
        off_peak_window_options=opensearch.CfnDomain.OffPeakWindowOptionsProperty(enabled=True),
        software_update_options=opensearch.CfnDomain.SoftwareUpdateOptionsProperty(
            auto_software_update_enabled=True
        ),
    )
    made.add_resource_dependency(log.node.find_child("rights"))
    # An upgrade happens in the domain that is there, not in a new and empty one.
    made.cfn_options.update_policy = CfnUpdatePolicy(enable_version_upgrade=True)
    made.apply_removal_policy(RemovalPolicy.RETAIN)
    return made


def _nodes(plan: Plan, zones: int) -> Any:
    spread = opensearch.CfnDomain.ZoneAwarenessConfigProperty(availability_zone_count=zones)
    return opensearch.CfnDomain.ClusterConfigProperty(
        instance_type=plan.search_instance,
        instance_count=plan.search_nodes,
        dedicated_master_enabled=False,
        zone_awareness_enabled=zones > 1,
        zone_awareness_config=spread if zones > 1 else None,
    )


def _may(role: Any, plan: Plan, *methods: str) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"AWS": role.role_arn},
        "Action": [f"es:ESHttp{method}" for method in methods],
        "Resource": f"{domain_arn(plan)}/*",
    }


def _log(stack: Any, plan: Plan, key: Any) -> Any:
    """What its nodes say, and the right of the service to write it there."""
    log = logs.LogGroup(
        stack,
        "search-log",
        log_group_name=f"/tillwatch/{plan.application}/opensearch",
        retention=logs.RetentionDays.ONE_MONTH,
        encryption_key=key,
        removal_policy=RemovalPolicy.RETAIN,
    )
    document = iam.PolicyDocument(
        statements=[
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("es.amazonaws.com")],
                actions=["logs:PutLogEvents", "logs:CreateLogStream"],
                resources=[log.log_group_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": plan.account},
                    "ArnLike": {"aws:SourceArn": domain_arn(plan)},
                },
            )
        ]
    )
    logs.CfnResourcePolicy(
        log,
        "rights",
        policy_name=f"{plan.application}-opensearch",
        policy_document=stack.to_json_string(document.to_json()),
    )
    return log
