output "webserver_url" {
  description = "Where Airflow's page is."
  value       = aws_mwaa_environment.this.webserver_url
}

output "name" {
  description = "Name of the Airflow environment."
  value       = aws_mwaa_environment.this.name
}
