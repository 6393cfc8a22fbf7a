# A trial in an account of its own: the smallest sizes, and nothing left after `terraform destroy`.
environment = "dev"
trial       = true

protect              = false
secret_recovery_days = 0
noncurrent_days      = 7
log_retention_days   = 30

nat_per_zone = false
http_budget  = 120
batch        = null
glue         = { workers = 2, timeout_minutes = 60 }
warehouse    = { base = 8, max = 16, hours_a_month = 60 }
airflow      = { max_workers = 2, webserver_access_mode = "PUBLIC_ONLY" }
