"""An AWS account as Terraform should have left it: one question for each thing that the platform needs there.

Every function returns what it found in words, and raises `MissingError` with what it expected and got.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from deftunes.core.settings import REPOSITORY


class MissingError(Exception):
    """Something is not there, or not ready."""


class Account:
    """The account and region of the caller's own credentials. Reads only, and never a secret's value."""

    def __init__(self, region: str) -> None:
        self._platform: dict[str, Any] = json.loads((REPOSITORY / "platform.json").read_text("utf-8"))
        self._region = region
        self._session = boto3.session.Session(region_name=region)

    def identity(self) -> str:
        """Who asks."""
        with _asked():
            caller = self._client("sts").get_caller_identity()
        return f"{caller['Arn']} in {self._region}"

    def buckets(self) -> str:
        """The lake's, the artifacts' and the logs' bucket."""
        names = [self._bucket(role) for role in self._platform["buckets"]]
        for name in names:
            with _asked(f"bucket {name}"):
                self._client("s3").head_bucket(Bucket=name)
        return ", ".join(names)

    def catalog(self) -> str:
        """The Glue database of silver."""
        name = self._platform["database"]
        with _asked(f"Glue database {name}"):
            self._client("glue").get_database(Name=name)
        return str(name)

    def tasks(self) -> str:
        """A task definition for each container stage, all of one release."""
        release = self._release()
        for family, image in self._definitions().items():
            _expect(image.endswith(f":{release}"), f"{family} at release {release}", image)
        return f"{len(self._platform['tasks'])} task definitions at release {release}"

    def images(self) -> str:
        """The release's images in their repositories; an optional one has a repository only where it runs."""
        release, there = self._release(), 0
        for image in self._platform["images"].values():
            repository = image["repository"]
            try:
                with _asked(f"image {repository}:{release}"):
                    found = self._client("ecr").describe_images(
                        repositoryName=repository, imageIds=[{"imageTag": release}]
                    )
            except MissingError as error:
                if image.get("optional") and str(error).endswith("got RepositoryNotFoundException"):
                    continue
                raise
            _expect(bool(found["imageDetails"]), f"image {repository}:{release}", "none")
            there += 1
        return f"{there} images at release {release}"

    def dashboards(self) -> str:
        """Where there are dashboards: a task that shows those of the release."""
        shape, release = self._platform["dashboards"], self._release()
        with _asked(f"service {shape['service']}"):
            services = self._client("ecs").describe_services(
                cluster=self._platform["cluster"], services=[shape["service"]]
            )["services"]
        running = [service for service in services if service["status"] == "ACTIVE"]
        if not running:
            return "none here"
        (service,) = running
        image = self._image(service["taskDefinition"])
        _expect(image.endswith(f":{release}"), f"{shape['service']} at release {release}", image)
        _expect(service["runningCount"] > 0, f"a task of {shape['service']} that runs", "none")
        return f"{shape['service']} shows release {release}"

    def glue_jobs(self) -> str:
        """Each Glue job, and the script, wheels and jars that it names."""
        glue = self._client("glue")
        jobs = self._platform["glue"]["jobs"].values()
        addresses: set[str] = set()
        for job in jobs:
            with _asked(f"Glue job {job['name']}"):
                found = glue.get_job(JobName=job["name"])["Job"]
            arguments = found.get("DefaultArguments", {})
            files = [arguments.get("--additional-python-modules", ""), *arguments.get("--extra-jars", "").split(",")]
            addresses |= {found["Command"]["ScriptLocation"], *filter(None, files)}
        for address in sorted(addresses):
            bucket, _, key = address.removeprefix("s3://").partition("/")
            with _asked(address):
                self._client("s3").head_object(Bucket=bucket, Key=key)
        return f"{len(jobs)} jobs, {len(addresses)} files"

    def secrets(self) -> str:
        """Each secret has a value; which one, nobody asks."""
        filled = 0
        for secret in self._platform["secrets"].values():
            name = secret["name"]
            try:
                with _asked(f"secret {name}"):
                    described = self._client("secretsmanager").describe_secret(SecretId=name)
            except MissingError:
                if secret.get("optional"):
                    continue
                raise
            stages = [stage for stages in described.get("VersionIdsToStages", {}).values() for stage in stages]
            _expect("AWSCURRENT" in stages, f"a value in secret {name}", "none")
            filled += 1
        return f"{filled} secrets have a value"

    def warehouse(self) -> str:
        """The Redshift workgroup."""
        name = self._platform["name"]
        with _asked(f"Redshift workgroup {name}"):
            found = self._client("redshift-serverless").get_workgroup(workgroupName=name)["workgroup"]
        _expect(found["status"] == "AVAILABLE", f"Redshift workgroup {name} available", found["status"])
        return f"workgroup {name} is available"

    def airflow(self) -> str:
        """The Managed Airflow environment."""
        name = self._platform["name"]
        with _asked(f"Airflow environment {name}"):
            found = self._client("mwaa").get_environment(Name=name)["Environment"]
        _expect(found["Status"] == "AVAILABLE", f"Airflow environment {name} available", found["Status"])
        return f"environment {name} is available"

    def alerts(self) -> str:
        """Somebody hears the alerts: at least one address, and each one confirmed."""
        name = f"{self._platform['name']}-alerts"
        account = self._account()
        partition = self._session.get_partition_for_region(self._region)
        topic = f"arn:{partition}:sns:{self._region}:{account}:{name}"
        with _asked(f"topic {name}"):
            found = self._client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
        waiting = [each for each in found if each["SubscriptionArn"] == "PendingConfirmation"]
        _expect(bool(found) and not waiting, "addresses that confirmed", f"{len(found)}, {len(waiting)} unconfirmed")
        return f"{len(found)} confirmed"

    def _definitions(self) -> dict[str, str]:
        """The image of each task family's newest definition."""
        return {task["family"]: self._image(task["family"]) for task in self._platform["tasks"].values()}

    def _image(self, definition: str) -> str:
        with _asked(f"task definition {definition}"):
            described = self._client("ecs").describe_task_definition(taskDefinition=definition)
        return str(described["taskDefinition"]["containerDefinitions"][0]["image"])

    def _release(self) -> str:
        return next(iter(self._definitions().values())).rpartition(":")[2]

    def _bucket(self, role: str) -> str:
        platform = self._platform
        return f"{platform['name']}-{platform['buckets'][role]}-{self._account()}-{self._region}"

    def _account(self) -> str:
        with _asked():
            return str(self._client("sts").get_caller_identity()["Account"])

    def _client(self, service: str) -> Any:
        return self._session.client(service)  # type: ignore[call-overload] # one name of many


@contextmanager
def _asked(what: str = "AWS to know these credentials") -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise MissingError(f"expected {what}, got {error.response['Error']['Code']}") from error
    except BotoCoreError as error:
        raise MissingError(f"expected {what}, got {error}") from error


def _expect(holds: bool, expected: str, got: str) -> None:
    if not holds:
        raise MissingError(f"expected {expected}, got {got}")
