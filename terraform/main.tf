# The platform of one environment. What makes it dev or prod is in dev.tfvars and prod.tfvars, and nowhere in here.
locals {
  root     = "${path.root}/.."
  platform = jsondecode(file("${local.root}/platform.json"))
  secrets  = merge(module.source.secrets, { warehouse_dsn = module.serving.dsn_secret })

  # Tasks may connect to what they need: AWS, PostgreSQL, Redshift, and the API wherever it listens.
  api_port     = tonumber(try(regex("^https?://[^/:]+:([0-9]+)", var.api_url)[0], startswith(var.api_url, "http:") ? 80 : 443))
  egress_ports = setunion([443, 5432, 5439, local.api_port], var.egress_ports)

  # Each setting once, for containers and Glue jobs alike: rules and thresholds must not differ between them.
  settings = {
    AWS_REGION                = var.region
    DEFTUNES_API_URL          = var.api_url
    DEFTUNES_EMBEDDED         = "false"
    DEFTUNES_ENGINE           = "embedded" # of tasks: their image has no Spark
    DEFTUNES_ENGINE_MEMORY    = "4g"
    DEFTUNES_HOME             = "${local.platform.work_folder}/deftunes"
    DEFTUNES_HTTP_BUDGET      = tostring(var.http_budget)
    DEFTUNES_LAKE             = module.lake.uri
    DEFTUNES_LOCK_TIMEOUT     = "600"
    DEFTUNES_LOOK_BACK        = "3"
    DEFTUNES_MAX_PRICE        = "2"
    DEFTUNES_MAX_REJECTED     = "0.05"
    DEFTUNES_MAX_SHRINK       = "0.2"
    DEFTUNES_SONGS_FULL_AFTER = "30"
    DEFTUNES_SPARK_PROVIDED   = "true"
  }
}

module "network" {
  source = "./modules/network"

  name              = local.platform.name
  existing          = var.existing_network
  nat_per_zone      = var.nat_per_zone
  task_egress_ports = local.egress_ports
  kms_key_arn       = module.lake.kms_key_arn
}

##### Landing and transform

module "lake" {
  source = "./modules/lake"

  name            = local.platform.name
  buckets         = local.platform.buckets
  database        = local.platform.database
  protect         = var.protect
  noncurrent_days = var.noncurrent_days
}

module "registry" {
  source = "./modules/registry"

  images       = { for image, shape in local.platform.images : image => shape if lookup({ purchase-api = var.trial, superset = var.dashboards != null }, image, true) }
  kms_key_arn  = module.lake.kms_key_arn
  force_delete = !var.protect
}

##### Sources

module "source" {
  source = "./modules/source"

  name                 = local.platform.name
  secrets              = local.platform.secrets
  api_has_token        = var.api_has_token
  secret_recovery_days = var.secret_recovery_days
  kms_key_arn          = module.lake.kms_key_arn
  kms_alias            = module.lake.kms_alias

  trial = !(var.trial && var.trial_catalogue) ? null : {
    instance_class           = "db.t4g.micro"
    vpc_id                   = module.network.vpc_id
    subnet_ids               = module.network.private_subnet_ids
    client_security_group_id = module.network.tasks_security_group_id
    container                = local.platform.container
    image                    = "${module.registry.repository_urls["purchase-api"]}:${var.release}"
    repository               = local.platform.images["purchase-api"].repository
    log_group                = module.observability.log_groups["extract"]
  }
}

##### Stages: every one as a container; transform and quality as Glue jobs, too, and transform_on says which of the two runs

module "extract_job" {
  source = "./modules/extract_job"

  name          = local.platform.name
  cluster       = local.platform.cluster
  container     = local.platform.container
  work_folder   = local.platform.work_folder
  tasks         = local.platform.tasks
  images        = local.platform.images
  release       = var.release
  settings      = local.settings
  secrets       = { for id, secret in local.platform.secrets : id => merge(secret, lookup(local.secrets, id, {})) }
  log_groups    = module.observability.log_groups
  lake_policies = module.lake.policies
  kms_alias     = module.lake.kms_alias

  batch = var.batch == null ? null : {
    subnet_ids         = module.network.private_subnet_ids
    security_group_ids = [module.network.tasks_security_group_id]
    max_vcpus          = var.batch.max_vcpus
    timeout_hours      = var.batch.timeout_hours
  }
}

module "transform_job" {
  source = "./modules/transform_job"

  name             = local.platform.name
  jobs             = local.platform.glue.jobs
  glue_version     = local.platform.glue.version
  script           = local.platform.glue.script
  wheels           = local.platform.glue.wheels
  jars             = local.platform.glue.jars
  release          = var.release
  settings         = local.settings
  artifacts_bucket = module.lake.bucket_names["artifacts"]
  log_group_prefix = local.platform.glue.log_group_prefix
  workers          = var.glue.workers
  timeout_minutes  = var.glue.timeout_minutes
  lake_policies    = module.lake.policies
  kms_key_arn      = module.lake.kms_key_arn
}

module "data_quality" {
  source = "./modules/data_quality"

  name        = local.platform.name
  rulesets    = { for entity, ruleset in local.platform.rulesets : entity => merge(ruleset, { file = "${local.root}/${ruleset.file}" }) }
  thresholds  = { max_price = local.settings.DEFTUNES_MAX_PRICE }
  lake_policy = module.lake.policies["monitor"]
}

##### Serving

module "serving" {
  source = "./modules/serving"

  name                      = local.platform.name
  glue_database             = module.lake.database
  schemas                   = local.platform.schemas
  login_roles               = { for task, role in module.extract_job.role_names : task => role if contains(local.platform.tasks[task].secrets, "warehouse_dsn") }
  lake_policy               = module.lake.policies["warehouse"]
  dsn_secret                = local.platform.secrets.warehouse_dsn
  secret_recovery_days      = var.secret_recovery_days
  kms_key_arn               = module.lake.kms_key_arn
  vpc_id                    = module.network.vpc_id
  subnet_ids                = module.network.private_subnet_ids
  client_security_group_ids = merge({ tasks = module.network.tasks_security_group_id }, { for dashboards in module.dashboards : "dashboards" => dashboards.security_group_id })
  capacity                  = var.warehouse
  bi_role                   = local.platform.dashboards.role
}

module "dashboards" {
  source = "./modules/dashboards"
  count  = var.dashboards == null ? 0 : 1

  name                        = local.platform.name
  shape                       = local.platform.dashboards
  repository                  = local.platform.images[local.platform.dashboards.image].repository
  release                     = var.release
  cluster                     = module.extract_job.cluster_name
  work_folder                 = local.platform.work_folder
  certificate_arn             = var.dashboards.certificate_arn
  client_cidrs                = var.dashboards.client_cidrs
  vpc_id                      = module.network.vpc_id
  subnet_ids                  = module.network.private_subnet_ids
  warehouse_secret            = module.serving.dsn_secret
  warehouse_security_group_id = module.serving.security_group_id
  log_retention_days          = var.log_retention_days
  topic_arn                   = module.observability.topic_arn
  kms_key_arn                 = module.lake.kms_key_arn
  kms_alias                   = module.lake.kms_alias
}

##### When it runs, and who hears when it does not

module "orchestration" {
  source = "./modules/orchestration"

  name                  = local.platform.name
  environment_class     = "mw1.small"
  max_workers           = var.airflow.max_workers
  webserver_access_mode = var.airflow.webserver_access_mode
  artifacts_bucket      = module.lake.bucket_names["artifacts"]
  dags_folder           = "${local.root}/dags"
  platform_file         = "${local.root}/platform.json"
  vpc_id                = module.network.vpc_id
  subnet_ids            = module.network.private_subnet_ids
  kms_key_arn           = module.lake.kms_key_arn
  kms_alias             = module.lake.kms_alias

  dag_settings = {
    cluster         = module.extract_job.cluster_name
    release         = var.release
    subnets         = join(",", module.network.private_subnet_ids)
    security_groups = module.network.tasks_security_group_id
    batch_queue     = module.extract_job.batch_queue
    batch_stages    = length(var.batch_stages) == 0 ? null : join(",", var.batch_stages)
    transform_on    = var.transform_on
    start_date      = var.first_day
  }

  jobs = {
    cluster      = module.extract_job.cluster_name
    families     = module.extract_job.families
    task_roles   = module.extract_job.passed_role_names
    glue_jobs    = values(module.transform_job.job_names)
    rulesets     = values(module.data_quality.ruleset_names)
    quality_role = module.data_quality.role_name
    batch_queue  = module.extract_job.batch_queue
    log_groups   = values(module.observability.log_groups)
  }
}

module "observability" {
  source = "./modules/observability"

  name           = local.platform.name
  log_groups     = local.platform.log_groups
  cluster        = local.platform.cluster
  glue_jobs      = [for job in local.platform.glue.jobs : job.name]
  emails         = var.emails
  retention_days = var.log_retention_days
  kms_key_arn    = module.lake.kms_key_arn
  kms_alias      = module.lake.kms_alias
}
