# Production in an account of its own: data is protected, a zone may fail, large backfills go to AWS Batch.
environment = "prod"
trial       = false

protect              = true
secret_recovery_days = 30
noncurrent_days      = 90
log_retention_days   = 365

nat_per_zone = true
http_budget  = 600
batch        = { max_vcpus = 32, timeout_hours = 24 }
glue         = { workers = 5, timeout_minutes = 240 }
warehouse    = { base = 32, max = 128, hours_a_month = 1000 }
airflow      = { max_workers = 5, webserver_access_mode = "PRIVATE_ONLY" }
