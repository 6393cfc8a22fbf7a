output "job_names" {
  description = "Glue jobs by task id."
  value       = { for task, job in aws_glue_job.this : task => job.name }
}
