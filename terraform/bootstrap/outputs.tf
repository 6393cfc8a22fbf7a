output "backend" {
  description = "What `terraform init` of the environment wants to know."
  value       = "-backend-config=bucket=${local.bucket} -backend-config=region=${var.region}"
}
