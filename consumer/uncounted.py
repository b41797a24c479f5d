"""What is said of a transaction that was parsed and does not count: the pipeline's rejections."""

from consumer.scorer import Scorer
from events.failure import failure
from events.record import Record
from events.rejection import Rejection
from events.transaction import Transaction


def reused(record: Record, transaction: Transaction) -> Rejection:
    """Of one whose id another record has already."""
    return Rejection(
        position=record.position,
        data=record.data,
        stage="deduplicate",
        reason="transaction_id_reused",
        field="transaction_id",
        detail="another record with other content has this transaction_id already",
        arrived_at=record.arrived_at,
        shop_id=transaction.shop_id,
    )


def unscored(
    record: Record, transaction: Transaction, error: Exception, scorer: Scorer
) -> Rejection:
    """Of one that the scorer failed at, with `error`."""
    return Rejection(
        position=record.position,
        data=record.data,
        stage="score",
        reason="scoring_failed",
        field=None,
        detail=failure(error, transaction),
        arrived_at=record.arrived_at,
        shop_id=transaction.shop_id,
        model_version=scorer.model_version,
    )
