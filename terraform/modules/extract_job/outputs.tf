output "cluster_name" {
  description = "Cluster that runs the tasks."
  value       = aws_ecs_cluster.this.name
}

output "role_names" {
  description = "Role of each task; in the warehouse its user is IAMR:<name>."
  value       = { for task, role in aws_iam_role.task : task => role.name }
}

output "passed_role_names" {
  description = "All roles that whoever starts tasks must be allowed to pass to ECS."
  value       = concat([for role in aws_iam_role.task : role.name], [for role in aws_iam_role.start : role.name])
}

output "families" {
  description = "Families of the task definitions by task id."
  value       = { for task, definition in aws_ecs_task_definition.this : task => definition.family }
}

output "batch_queue" {
  description = "Queue for backfills; null where there is none."
  value       = one([for queue in aws_batch_job_queue.this : queue.name])
}
