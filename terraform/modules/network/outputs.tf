output "vpc_id" {
  description = "The VPC, made or given."
  value       = local.vpc_id
}

output "private_subnet_ids" {
  description = "Private subnets, one per zone."
  value       = local.private_subnet_ids
}

output "tasks_security_group_id" {
  description = "Security group of the containers that run stages."
  value       = aws_security_group.tasks.id
}
