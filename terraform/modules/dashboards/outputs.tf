output "security_group_id" {
  description = "Security group of the service, for the warehouse's way in."
  value       = aws_security_group.this["service"].id
}

output "deployment" {
  description = "What `make deploy` needs to know: where the two tasks run, what they are called, and which secret wants a value first."
  value = {
    address         = "https://${aws_lb.this.dns_name}"
    cluster         = var.cluster
    service         = aws_ecs_service.this.name
    families        = { for task, definition in aws_ecs_task_definition.this : task => definition.family }
    log_group       = aws_cloudwatch_log_group.this.name
    secret_key      = aws_secretsmanager_secret.key.name
    security_groups = [aws_security_group.this["service"].id]
    subnets         = var.subnet_ids
  }
}

output "alarms" {
  description = "Names of the alarms."
  value       = [for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name]
}
