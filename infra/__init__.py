"""What Tillwatch runs on at AWS, as CDK stacks. docs/infra.md says how it is deployed."""
