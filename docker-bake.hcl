# The services of compose.yaml that say how their image is built; others run the same.
group "images" {
  targets = [
    "airflow-migrate", "aws-local", "dbt", "extract", "glue", "init", "minio", "purchase-api", "superset-assets",
    "transform",
  ]
}
