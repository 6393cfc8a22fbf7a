# Each image once: compose.yaml says how it is built, and several of its services run the same.
group "images" {
  targets = [
    "airflow-api-server", "aws-local", "cli", "dbt", "extract", "glue", "minio", "purchase-api", "transform",
  ]
}
