mock_provider "aws" {
  source = "../../testing"
}

variables {
  name         = "deftunes"
  nat_per_zone = false
  kms_key_arn  = "arn:aws:kms:eu-central-1:123456789012:key/mock"
}

run "nothing_gets_in_and_only_what_must_gets_out" {
  command = plan

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.endpoints : rule.cidr_ipv4 == var.cidr && rule.from_port == 443 && rule.to_port == 443])
    error_message = "Endpoints must accept HTTPS from inside the VPC and nothing else."
  }

  assert {
    condition     = alltrue([for subnet in aws_subnet.public : !subnet.map_public_ip_on_launch])
    error_message = "No machine may get a public address by default."
  }

  assert {
    condition     = length(aws_default_security_group.this) == 1
    error_message = "The VPC's default security group must be emptied."
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.tasks : rule.from_port]) == toset([443, 5432, 5439])
    error_message = "Tasks may connect to HTTPS, PostgreSQL and Redshift only."
  }

  assert {
    condition     = toset([for endpoint in aws_vpc_endpoint.interface : endpoint.service_name]) == toset([for service in ["ecr.api", "ecr.dkr", "glue", "logs", "secretsmanager"] : "com.amazonaws.eu-central-1.${service}"])
    error_message = "Glue, ECR, Secrets Manager and Logs need an endpoint each."
  }

  assert {
    condition     = aws_vpc_endpoint.s3[0].vpc_endpoint_type == "Gateway" && alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled])
    error_message = "S3 needs its gateway, and the names of the others must lead to their endpoints."
  }

  assert {
    condition     = length(distinct([for subnet in aws_subnet.private : subnet.availability_zone])) == 3
    error_message = "Redshift Serverless wants private subnets in three zones."
  }

  assert {
    condition     = length(distinct(concat([for s in aws_subnet.private : s.cidr_block], [for s in aws_subnet.public : s.cidr_block]))) == 6
    error_message = "Every subnet needs addresses of its own."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1
    error_message = "Without nat_per_zone one gateway serves all zones."
  }
}

run "one_nat_gateway_per_zone" {
  command = plan

  variables {
    nat_per_zone = true
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3
    error_message = "With nat_per_zone the loss of a zone must not cut the others off."
  }
}

run "an_existing_vpc_is_left_as_it_is" {
  command = plan

  variables {
    existing = {
      vpc_id             = "vpc-1"
      private_subnet_ids = ["subnet-1", "subnet-2", "subnet-3"]
    }
  }

  assert {
    condition     = length(aws_vpc.this) == 0 && length(aws_subnet.private) == 0 && length(aws_vpc_endpoint.interface) == 0 && length(aws_nat_gateway.this) == 0
    error_message = "Nothing but a security group may be made in an existing VPC."
  }

  assert {
    condition     = output.vpc_id == "vpc-1" && aws_security_group.tasks.vpc_id == "vpc-1"
    error_message = "The given VPC must be the one that is used."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    zones                   = ["a", "b"]
    cidr                    = "10.0.0.0/24"
    interface_endpoints     = ["glue", "logs"]
    task_egress_ports       = [0]
    flow_log_retention_days = 31
    existing = {
      vpc_id             = "vpc-1"
      private_subnet_ids = ["subnet-1", "subnet-2"]
    }
  }

  expect_failures = [
    var.zones, var.cidr, var.interface_endpoints, var.task_egress_ports, var.flow_log_retention_days, var.existing,
  ]
}
