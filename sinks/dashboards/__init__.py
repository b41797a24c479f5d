"""What OpenSearch Dashboards shows, as code: its saved objects, links into them, their import."""
