"""The services that a batch is written to: OpenSearch, Parquet on S3, SNS, SQS, DynamoDB."""
