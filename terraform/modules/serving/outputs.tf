output "workgroup_name" {
  description = "Workgroup of the warehouse."
  value       = aws_redshiftserverless_workgroup.this.workgroup_name
}

output "dsn_secret" {
  description = "The warehouse's address as a secret: where ECS finds it, and its ARN for policies."
  value       = { value_from = local.secret_arn, arn = "${local.secret_arn}-??????" }

  # The ARN is made of names; what takes it must still wait for the secret.
  depends_on = [aws_secretsmanager_secret_version.dsn]
}

output "security_group_id" {
  description = "Security group of the warehouse."
  value       = aws_security_group.this.id
}
