output "secrets" {
  description = "By id: where ECS finds each secret, and its ARN for policies."
  value       = merge(local.found, local.password)

  # The ARNs are made of names; what takes them must still wait for the secrets.
  depends_on = [aws_secretsmanager_secret.this]
}

output "seed_family" {
  description = "Task that fills the trial's catalogue; null where there is none."
  value       = one([for task in aws_ecs_task_definition.seed : task.family])
}
