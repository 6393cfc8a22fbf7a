output "airflow" {
  description = "Where Airflow's page is."
  value       = module.orchestration.webserver_url
}

output "artifacts_bucket" {
  description = "Where the release is uploaded to."
  value       = module.lake.bucket_names["artifacts"]
}

output "repositories" {
  description = "Where each image is pushed to."
  value       = module.registry.repository_urls
}

output "network" {
  description = "Where a task that is started by hand must be: the value of `aws ecs run-task --network-configuration`."
  value       = "awsvpcConfiguration={subnets=[${join(",", module.network.private_subnet_ids)}],securityGroups=[${module.network.tasks_security_group_id}]}"
}

output "dashboards" {
  description = "What `make deploy` needs to know of the dashboards, and where they are; null where there are none."
  value       = one(module.dashboards[*].deployment)
}
